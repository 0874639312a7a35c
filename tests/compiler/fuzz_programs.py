"""Random programs: each statement is tried as it is written, so that the next one knows what there is to work with."""

from __future__ import annotations

import random
import re
import warnings
from dataclasses import dataclass, field

from flambeau.ops.define import OPERATORS
from flambeau.testing.samples import Make, samples_of

from . import fuzz_check
from .fuzz_check import torch

UNARY = """abs() neg() exp() log() sqrt() rsqrt() sin() cos() tan() tanh() sigmoid() relu() erf() floor() ceil() round()
trunc() frac() sign() reciprocal() square() log1p() expm1() atan() sinh() cosh() log2() exp2() erfc() isnan() isfinite()
logical_not() bitwise_not() nan_to_num() clamp(-0.5,0.7) clamp_min(0) pow(2) pow(0.5) pow(3) add(1) sub(2) mul(0.5) div(3)
gt(0.2) le(0) eq(1) ne(0) remainder(0.7) fmod(2) lerp(x0,0.3) add(x0,alpha=2) clone() contiguous() sgn() lgamma()
softmax(-1) log_softmax(0) cumsum(0) cumsum(-1) flip(0) roll(1,0) tril() triu() sort(0)[0] sort(-1,descending=True)[1]
cumprod(0) logcumsumexp(0) argsort(-1) diff() masked_fill(x1,0.5) float() double() bfloat16() long() bool() half()
unique() nonzero() tile(2) repeat_interleave(2) to(torch.int32) cummax(0)[0] renorm(2,0,1.0) logit(0.1)""".split()
FUNCTIONS = """F.gelu(a) F.silu(a) F.softplus(a) F.elu(a) F.leaky_relu(a) F.mish(a) F.hardtanh(a) F.hardswish(a) F.relu6(a)
F.selu(a) F.softsign(a) F.logsigmoid(a) F.celu(a) F.hardsigmoid(a) F.softmax(a,dim=-1) F.normalize(a,dim=-1) F.tanhshrink(a)
F.layer_norm(a,a.shape[-1:]) torch.special.expit(a) torch.zeros_like(a) torch.ones_like(a) torch.full_like(a,2) F.softmin(a,dim=0)
Double.apply(a) F.pad(a,(1,2)) F.threshold(a,0.1,3) F.glu(a,-1) F.rms_norm(a,a.shape[-1:]) torch.atleast_2d(a)
F.batch_norm(a,None,None,training=True) F.avg_pool1d(a,2) F.max_pool1d(a,2) F.interpolate(a[None],scale_factor=2)
torch.utils.checkpoint.checkpoint(torch.sin,a,use_reentrant=False) torch.relu(a+1)*2-a torch.tanh(a)*a.sigmoid()+1
(a*2+1).exp().log1p() a.detach().requires_grad_() 1/a 2-a 2**a a//2 a%3 -a a**2*a""".split()
BINARY = """a+b a-b a*b a/b torch.maximum(a,b) torch.minimum(a,b) torch.atan2(a,b) torch.fmod(a,b) torch.pow(a.abs(),b) a>b
a<=b a==b a&b a|b a^b torch.where(a>0,a,b) torch.lerp(a,b,0.3) torch.addcmul(a,b,b,value=0.5) torch.addcdiv(a,b,b) a*b+1
torch.hypot(a,b) torch.logaddexp(a,b) torch.clamp(a,min=b) torch.heaviside(a,b) torch.copysign(a,b) F.mse_loss(a,b)
F.smooth_l1_loss(a,b) F.l1_loss(a,b,reduction="none") torch.cat([a,b]) torch.cat([a,b],-1) torch.stack([a,b]) a//b a%b
torch.logical_and(a,b) torch.nextafter(a,b) a.type_as(b) a.expand_as(b) a.view_as(b) torch.cat([a,b,a],0) torch.dist(a,b)
a@b torch.mm(a,b) torch.matmul(a,b.transpose(-1,-2)) F.linear(a,b) torch.outer(a,b) torch.dot(a,b) torch.mv(a,b)
torch.bmm(a,b.transpose(1,2)) torch.einsum("ij,kj->ik",a,b) torch.addmm(a,a,b) torch.kron(a,b) torch.cdist(a,b)
F.conv1d(a,b) F.conv1d(a.unsqueeze(0),b.unsqueeze(0),padding=1) F.conv2d(a[None],b[None],padding=1) a.T@b a@b.T
F.relu(a@b.T+1) (a@b.T).tanh()*2 F.cosine_similarity(a,b) a.index_select(0,b) a.gather(-1,b) a[b] a.take(b) torch.take_along_dim(a,b,0)
F.embedding(b,a) F.cross_entropy(a,b) F.nll_loss(a,b) F.binary_cross_entropy_with_logits(a,b) torch.isclose(a,b)
torch.bucketize(a,b) torch.searchsorted(b,a) a.masked_select(b) F.scaled_dot_product_attention(a[None],b[None],b[None])
torch.sub(a,b,alpha=3) torch.rsub(a,b) torch.xlogy(a,b) torch.gcd(a,b) torch.complex(a,b).abs() torch.equal(a,b)
torch.broadcast_tensors(a,b)[0] torch.cov(a) torch.add(a,b,out=torch.empty(0,dtype=a.dtype))""".split()
PRODUCTS = (
    "a @ a.mT", "a.mT @ a", "F.linear(a, a)", "F.linear(a, a, a[..., 0])", "F.linear(a, a[:1] * 2)", "torch.addmm(a, a, a)",
    "torch.matmul(a * 2, a.mT)", "a @ a[0]", "a[0] @ a.mT", "torch.addmm(a[:1, :1], a, a.mT, beta=0.5, alpha=2)",
    "torch.bmm(a, a.mT)", "torch.baddbmm(a[..., :1], a, a.mT)", "(a + 1) @ (a - 1).mT", "torch.einsum('ij,kj->ki', a, a)",
    "F.conv2d(a[None, None], a[None, None, :2, :2], padding=1)", "F.conv1d(a[None], a[:, None, :2], groups=a.shape[0])",
)  # fmt: skip
VIEWS = """a.t() a.T a.transpose(0,-1) a.transpose(0,1) a[0] a[-1] a[1:] a[:-1] a[::2] a[...,0] a[...,1:] a[:,0] a[:,1:]
a[None] a.unsqueeze(-1) a.squeeze() a.squeeze(0) a.flatten() a.reshape(-1) a.view(-1) a.reshape(-1,2) a.reshape(2,-1)
a.view(1,-1) a.expand(3,*a.shape) a.expand(2,-1) a.diagonal() a.unfold(0,2,1) a.unfold(-1,3,2) a.narrow(0,1,1) a.select(-1,0)
a.split(2)[0] a.chunk(2)[-1] a.unbind(0)[1] a.unbind(-1)[0] a.movedim(0,-1) a.detach() a.as_strided((2,2),(1,1))
a.as_strided((2,),(1,),1) a.swapaxes(0,-1) a.data a.view(torch.int32) a.permute(*range(a.dim()-1,-1,-1)) a.mT
a.unflatten(0,(1,-1)) a.broadcast_to((2,*a.shape)) a.split(1,-1)[0] a[0:1] a[...,::2] a.hsplit(1)[0] a.real""".split()
REDUCE = """sum() sum(0) sum(-1) sum(-1,keepdim=True) mean() mean(0) mean(-1,keepdim=True) amax(0) amin(-1) max() min() argmax()
argmax(-1) argmin(0) prod() prod(0) var() var(0) std(-1) norm() norm(dim=0) logsumexp(-1) logsumexp(0) any() all() any(0)
all(-1) max(0)[0] min(-1)[1] sum((0,-1)) count_nonzero() nansum() median() mode(0)[0] topk(1)[0] kthvalue(1)[0] cumsum(0).sum()
var_mean(0)[1] aminmax()[1] quantile(0.3) std_mean()[0] square().mean() abs().amax(-1,keepdim=True) trace() logsumexp((0,1))
norm(p=1) sum(dtype=torch.float64) nanmean() bincount() histc(4)""".split()
WRITES = """a.add_(b) a.mul_(b) a.sub_(1) a.mul_(0.5) a.div_(2) a.copy_(b) a.zero_() a.fill_(0.7) a[0]=b a[0]=1 a[...,0]=2 a[1:]=b
a[:,0]=b a[a>0]=0 a[:]=b a+=b a*=b a-=1 a/=b a|=b a&=b a.relu_() a.exp_() a.tanh_() a.sigmoid_() a.clamp_(-0.3,0.4) a.neg_()
a.addcmul_(b,b,value=0.1) a.addcdiv_(b,b+3) a.lerp_(b,0.5) a.masked_fill_(b,1.5) a.index_fill_(0,torch.tensor([0]),3)
a.index_add_(0,torch.tensor([0]),a[:1].clone()) a.transpose_(0,-1) a.unsqueeze_(0) a.squeeze_() a.t_() a.detach_() a.abs_()
a.t().add_(b) a[0].mul_(3) a.view(-1)[::2].add_(1) a.diagonal().fill_(1) a[1:].copy_(a[:-1]) a[:-1].add_(a[1:]) a.sqrt_()
a.scatter_(0,b,0.5) a.scatter_add_(0,b,b) a.cumsum_(0) a.tril_() a.pow_(2) a.reciprocal_() a.data.mul_(2) a.detach().add_(1)
a.data=a.data*2 a.logical_not_() a.bitwise_xor_(b) a.floor_() a.round_() a.sign_() a.eq_(b) a.fmod_(2) a.fill_diagonal_(1)
a.set_(b) a.index_put_((torch.tensor([0,0]),),b,accumulate=True) a.put_(b,b) torch.add(b,1,out=a) a.addmm_(b,b)
torch.mul(b,b,out=a) torch.exp(b,out=a) torch.sum(b,0,out=a) torch._foreach_add_([a,a],1) torch._foreach_mul_([a],b)
a.expand(2,*a.shape)[0].add_(1) a.T[0].zero_() a.copy_(a.flip(0)) a.swapdims_(0,-1) a.squeeze_(0).add_(1)""".split()
RANDOM = """F.dropout(a,0.4) torch.rand_like(a) torch.randn_like(a) torch.randn(3) torch.rand(a.shape) torch.randint(0,5,(4,))
torch.randperm(5) torch.bernoulli(a.sigmoid()) a.clone().normal_() a.clone().uniform_(-1,1) a.clone().exponential_()
a.multinomial(2,replacement=True) torch.normal(a,a.abs()) a.clone().bernoulli_(0.3) torch.randn(2,3,generator=g)
F.rrelu(a,training=True) F.gumbel_softmax(a) F.alpha_dropout(a,0.3,training=True) a.clone().geometric_(0.4)
F.dropout(a.relu(),0.5)*2 F.dropout(torch.ones(3,4),0.5) torch.poisson(a.abs()) F.dropout(a,0.5,training=False)
torch.nn.init.xavier_uniform_(a.detach().clone()) torch.rand(()) torch.randn(5,dtype=torch.float64)""".split()
CREATE = """torch.zeros(3) torch.ones(2,3) torch.arange(5) torch.full((2,3),0.5) torch.eye(3) torch.linspace(0,1,4)
torch.tensor([1.0,-2.0,3.0]) torch.tensor(0.5) torch.tensor([[1,2],[3,0]]) torch.zeros(2,3,dtype=torch.bfloat16)
torch.arange(6.0).view(2,3) torch.tensor([True,False,True]) torch.ones(()) torch.zeros(0,3) a.new_zeros(3) a.new_ones(a.shape)
torch.tensor(k) torch.full((3,),k) torch.arange(k+1) torch.from_numpy(numpy.arange(4.0)) torch.hann_window(4)""".split()
LOOKS = """log.append(a.sum().item()) log.append(a.tolist()) log.append(str(a)) log.append(bool((a>0).any())) log.append(a.numpy().sum())
log.append(len(a)) log.append(a.shape) log.append(a.max().item()) log.append(a.detach().numpy().copy()) log.append(a.flatten()[0].item())
log.append(a._version) log.append(float(a.mean())) log.append(list(a.shape)) log.append(a.is_contiguous()) log.append(repr(a))
log.append(a.data_ptr()==b.data_ptr()) log.append(torch.equal(a,b)) log.append(int(a.argmax())) log.append([float(e) for e in a])
log.append(a in[b]) log.append(hash(a)==hash(b)) log.append(a.untyped_storage().nbytes()) log.append(f"{a.sum():.3f}")""".split()
HOOKS = (
    "a.register_hook(lambda g: g * 2)", "a.register_hook(lambda g: log.append(g.sum().item()))",
    "a.register_hook(keep.append)", "a.retain_grad()", "a.requires_grad_()",
)  # fmt: skip
BACKWARD = (
    "a.sum().backward()", "a.square().mean().backward()", "a.backward(torch.ones_like(a))",
    "(a * b).sum().backward()", "a.sum().backward(retain_graph=True)", "a.float().tanh().sum().backward()",
    "a.sum().backward(create_graph=True)", "(a + b).exp().sum().backward()", "(a.sum() * b.sum()).backward()",
    "torch.autograd.backward([a.sum(), b.mean()])",
)  # fmt: skip
GRADIENT = (
    "torch.autograd.grad(a.sum(), b, retain_graph=True)[0]",
    "torch.autograd.grad(a.square().sum(), b, create_graph=True)[0]",
    "torch.autograd.grad(a.sum(), b, allow_unused=True)[0]",
    "torch.func.grad(lambda x: (x * x.sin()).sum())(a)", "torch.func.vmap(torch.sin)(a)",
)  # fmt: skip
NUMBERS = ("0", "1", "2", "-1", "0.5", "-0.3", "1e-3", "k", "k + 0.5", "float('nan')", "True", "3", "1e30")
BLOCKS = (
    "torch.no_grad()", "torch.no_grad()", "torch.inference_mode()", "torch.enable_grad()", "torch.set_grad_enabled(k % 2 == 0)",
    "torch.autocast('cpu', dtype=torch.bfloat16)", "torch.autograd.set_grad_enabled(False)",
)  # fmt: skip
DTYPES = (
    ("float32",) * 9 + ("float64",) * 2 + ("bfloat16", "int64", "int64", "bool", "float16", "int32", "uint8")
)
SHAPES = [
    (3,), (2, 3), (2, 3), (3, 2), (3, 3), (1, 3), (2, 1), (4,), (), (1,), (2, 3, 4), (2, 1, 3), (0,), (0, 3), (2, 0), (5, 4),
    (17,), (33, 7), (40, 70), (3, 700), (2, 2, 3, 5), (64,), (8, 16), (1, 1), (130,), (16, 3, 3),
]  # fmt: skip
LARGEST = 20000
#: what a repeated call does not do again: Python, and changes of what a tensor is (its shape, its leaf, its gradient)
UNSTEADY = re.compile(
    r"\b(k|log|keep|array|alias|numpy|hook|raise|if|for|while)\b|register_hook|retain_grad|requires_grad_|detach_\(|\.t_\(|"
    r"transpose_|squeeze_|swapdims_|set_\(|resize|\.grad\b|\.data\b|model\.train|zero_grad|param_groups|checkpoint|out="
)
SKIPPED = ("empty", "resize", "random_from_to", "set_num", "set_", "data_ptr")


@dataclass
class Program:
    """A program as text: what is made once, what is made anew for each call, the statements, what is returned."""

    state: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    result: str = "[]"
    spoil: bool = False  # whether inputs are overwritten after the call, before its results are read
    later: bool = False  # whether the caller goes backward through the results
    changing: bool = (
        False  # whether it is compiled for sizes that change: what runs for the first time has no plan
    )
    steady: bool = False  # does the same in each call, and touches nothing but tensors: fit for freeze=True

    @staticmethod
    def names(lines: list[str]) -> list[str]:
        return [n for line in lines for n in line.split(" = ")[0].split(", ")]

    def source(self) -> str:
        def block(lines: list[str]) -> str:
            return (
                "\n".join("    " + part for line in lines for part in line.split("\n")) + "\n"
                if lines
                else ""
            )

        def given(lines: list[str]) -> str:
            return "    return {" + ", ".join(f"{n!r}: {n}" for n in self.names(lines)) + "}\n\n\n"

        own = [] if self.steady else ["k", "log", "keep"]
        names = ", ".join([*own, *self.names(self.state), *self.names(self.inputs)])
        return (
            "from tests.compiler.fuzz_check import *\n\n\n"
            "def state(wrap):\n" + block(self.state) + given(self.state)
            + "def inputs(k):\n" + block(self.inputs) + given(self.inputs)
            + f"def program({names}):\n" + block(self.body) + f"    return {self.result}\n\n\n"
            f"check(state, inputs, program, spoil={self.spoil}, freeze={self.steady}, later={self.later}, "
            f"changing={self.changing})\n"
        )  # fmt: skip

    def parts(self) -> tuple:
        """The three functions of the source, without running the check."""
        found: dict = {}
        text = self.source().rpartition("check(")[0]
        exec(compile(text, "<program>", "exec"), found)
        return found["state"], found["inputs"], found["program"]


class Writer:
    """Writes one program from a seed."""

    def __init__(self, seed: int, steady: bool = False):
        self.r = random.Random(seed)
        self.seed = seed
        self.program = Program(
            spoil=self.r.random() < 0.3, later=seed % 3 == 1, steady=steady, changing=seed % 5 < 2
        )
        self.lines = self.program.body
        self.count = 0
        self.env: dict = {"k": 0, "log": [], "keep": [], "wrap": lambda f: f}
        self.env.update({n: getattr(fuzz_check, n) for n in fuzz_check.__all__})

    def write(self) -> Program:
        r = self.r
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(11)
            self.write_state()
            self.write_inputs()
            for _ in range(r.choice((3, 6, 9, 12, 18))):
                self.statement()
        names = [n for n in self.tensors() if n.startswith("v")]
        kept = [n for n in names if r.random() < 0.4] or names[-1:]
        r.shuffle(kept)
        self.program.result = "[" + ", ".join(kept) + "]"
        return self.program

    def write_state(self) -> None:
        r, put = self.r, self.program.state.append
        put(f"g = torch.Generator().manual_seed({self.seed % 97})")
        put("inner = wrap(lambda x: (x.sin() * 2 + 1).relu())")
        if r.random() < 0.35:
            self.width = r.choice((3, 4, 7))
            kind = r.choice(("linear", "mlp", "norm", "layer", "conv", "attend"))
            put(f"model = model_of({kind!r}, {self.width}, {self.seed % 89})")
            how = r.choice(("sgd", "momentum", "adam", "adamw", "rmsprop", "adagrad", "each"))
            put(f"opt = optimizer_of({how!r}, model)")
        if r.random() < 0.4:
            put(f"p = rand({r.choice(SHAPES[:9])}, torch.float32, {self.seed % 83}).requires_grad_()")
        if r.random() < 0.2:
            put(f"array = numpy.arange({float(r.choice((3, 4, 6)))})")
            put("alias = base(array)")
        for line in self.program.state:
            exec(line, self.env)

    def write_inputs(self) -> None:
        r, put = self.r, self.program.inputs.append
        small = r.sample(SHAPES, 3)
        varied = r.random() < 0.15 and not self.program.steady
        for n in range(r.choice((2, 3, 4))):
            shape, dtype, seed = r.choice(small), r.choice(DTYPES), r.randrange(1000)
            if n == 0:
                dtype = r.choice(("float32", "float32", "float64", "bfloat16"))
            if n == 1 and r.random() < 0.5:
                dtype = r.choice(("bool", "int64", "float32"))
            vary = f"{seed} + k" if r.random() < 0.8 else f"{seed} + k % 2"
            text = str(shape)
            if varied and shape and shape[0] > 1:
                text = f"({shape[0]} + k % 2, {', '.join(map(str, shape[1:]))})"
            made = "rand" if r.random() < 0.75 else "noncontiguous"
            line = f"x{n} = {made}({text}, torch.{dtype}, {vary})"
            if dtype in ("float32", "float64", "bfloat16") and r.random() < 0.35:
                line += ".requires_grad_()" if made == "rand" else ".detach().requires_grad_()"
            put(line)
        if r.random() < 0.15:
            put(f"o0, o1 = overlapping({r.choice((3, 4, 17))}, torch.float32, {r.randrange(100)} + k)")
        if "model" in self.env:
            put(f"xm = rand(({r.choice((2, 3, 5))}, {self.width}), torch.float32, {r.randrange(100)} + k)")
        if r.random() < 0.15:
            put("same = x0")
        for line in self.program.inputs:
            exec(line, self.env)

    # -- what there is --

    def tensors(self) -> list[str]:
        found = []
        for name, value in self.env.items():
            if isinstance(value, torch.Tensor) and not name.startswith("_"):
                found.append(name)
        return found

    def pick(self) -> str:
        """A tensor, rather a late one."""
        names = self.tensors()
        if self.r.random() < 0.5:
            names = names[-4:]
        return self.r.choice(names)

    def pair(self) -> tuple[str, str]:
        """Two tensors, rather of shapes that go together."""
        a = self.pick()
        shape = self.env[a].shape
        near = [n for n in self.tensors() if self.env[n].shape == shape or self.env[n].dim() == 0
                or self.env[n].shape[-1:] == shape[-1:]]  # fmt: skip
        return a, self.r.choice(near) if near and self.r.random() < 0.75 else self.pick()

    def new(self) -> str:
        if self.count and self.r.random() < 0.1:
            return f"v{self.r.randrange(self.count)}"
        self.count += 1
        return f"v{self.count - 1}"

    # -- statements --

    def keep_line(self, line: str) -> bool:
        """Run a statement and keep it when it works; now and then keep the exception too."""
        if self.program.steady and UNSTEADY.search(line):
            return False
        before = dict(self.env)
        try:
            exec(compile(line, "<statement>", "exec"), self.env)
        except Exception as error:
            self.env = before
            if self.r.random() < 0.01 and not self.program.steady and not isinstance(error, SyntaxError):
                inner = "\n".join("    " + part for part in line.split("\n"))
                self.lines.append(
                    f"try:\n{inner}\nexcept Exception as error:\n    log.append(text_of(error))"
                )
                return True
            return False
        for name, value in list(self.env.items()):
            if isinstance(value, torch.Tensor) and value is not before.get(name):
                if value.numel() > LARGEST or value.is_sparse or value.is_meta:
                    self.env = before
                    return False
        self.lines.append(line)
        return True

    def statement(self) -> None:
        kinds = [
            (16, self.unary), (14, self.binary), (9, self.view), (9, self.reduce), (12, self.write_in_place), (5, self.random),
            (3, self.create), (3, self.look), (3, self.branch), (2, self.loop), (4, self.list), (3, self.delete), (5, self.backward),
            (3, self.train), (3, self.block), (1, self.fail), (3, self.numpy), (12, self.registry), (6, self.chain), (2, self.nested),
            (7, self.product), (6, self.reduced_chain),
        ]  # fmt: skip
        for _ in range(12):
            kind = self.r.choices([k for _, k in kinds], [w for w, _ in kinds])[0]
            if kind():
                return

    def fill(self, text: str) -> str:
        """A template with its letters a and b replaced by tensors."""
        a, b = self.pair()
        number = self.r.choice(NUMBERS) if self.r.random() < 0.12 else b
        return re.sub(
            r"\b[ab]\b(?!=)|\b[ab]\b(?===)|\ba\b(?==)", lambda m: a if m[0] == "a" else number, text
        )

    def unary(self) -> bool:
        if self.r.random() < 0.35:
            return self.keep_line(f"{self.new()} = {self.fill(self.r.choice(FUNCTIONS))}")
        return self.keep_line(f"{self.new()} = {self.pick()}.{self.r.choice(UNARY)}")

    def binary(self) -> bool:
        return self.keep_line(f"{self.new()} = {self.fill(self.r.choice(BINARY))}")

    def view(self) -> bool:
        return self.keep_line(f"{self.new()} = {self.fill(self.r.choice(VIEWS))}")

    def reduce(self) -> bool:
        return self.keep_line(f"{self.new()} = {self.pick()}.{self.r.choice(REDUCE)}")

    def write_in_place(self) -> bool:
        line = self.fill(self.r.choice(WRITES))
        if self.r.random() < 0.3:
            return self.keep_line("with torch.no_grad():\n    " + line)
        return self.keep_line(line)

    def random(self) -> bool:
        return self.keep_line(f"{self.new()} = {self.fill(self.r.choice(RANDOM))}")

    def create(self) -> bool:
        return self.keep_line(f"{self.new()} = {self.fill(self.r.choice(CREATE))}")

    def look(self) -> bool:
        return self.keep_line(self.fill(self.r.choice(LOOKS)))

    def chain(self) -> bool:
        """Several pointwise operators in one expression, whose parts nobody keeps."""
        text = self.pick()
        for _ in range(self.r.randrange(2, 6)):
            b = self.pair()[1]
            part = self.r.choice(BINARY[:24] + FUNCTIONS[:12])
            text = re.sub(r"\b[ab]\b", lambda m: f"({text})" if m[0] == "a" else b, part)
        return self.keep_line(f"{self.new()} = {text}")

    def chained(self, text: str, others: tuple[str, ...], count: int) -> str:
        """An expression with some pointwise operators behind it."""
        for _ in range(count):
            b = self.r.choice(others)
            part = self.r.choice(BINARY[:24] + FUNCTIONS[:12])
            text = re.sub(r"\b[ab]\b", lambda m, text=text, b=b: f"({text})" if m[0] == "a" else b, part)
        return text

    def product(self) -> bool:
        """A matrix product, and pointwise operators over its result, which may be kept, written or both."""
        names = [n for n in self.tensors() if self.env[n].dim() >= 2 and self.env[n].dtype.kind == 2]
        if not names:
            return False
        a, v, w = self.r.choice(names), self.new(), self.new()
        if v == w:
            return False
        made = re.sub(r"\ba\b", a, self.r.choice(PRODUCTS))
        others = (v, f"{v}[:1]", f"{v}[..., :1]", f"{v} * 2", f"{v}.mT", f"{v}.sum(0)", "0.5", self.pick())
        lines = [f"{v} = {made}", f"{w} = {self.chained(v, others, self.r.randrange(1, 4))}"]
        if self.r.random() < 0.3:
            how = self.r.choice((".relu_()", ".mul_(0.5)", " += 1", ".tanh_()", f".add_({others[1]})"))
            lines.insert(1, v + how)
        if self.r.random() < 0.3:
            lines.append(f"{v} = {self.chained(v, others, 1)}")
        if self.r.random() < 0.4:
            lines.append(f"del {v}")
        return self.keep_line("\n".join(lines))

    def reduced_chain(self) -> bool:
        """Pointwise operators and a reduction of what they give."""
        a, b = self.pair()
        others = (b, f"{b}[:1]", f"{b}[..., :1]", a, "0.5", f"{a}.mean(-1, keepdim=True)")
        text = self.chained(a, others, self.r.randrange(1, 4))
        if self.r.random() < 0.3:
            u, v = self.new(), self.new()
            return u != v and self.keep_line(f"{u} = {text}\n{v} = {u}.{self.r.choice(REDUCE)}")
        return self.keep_line(f"{self.new()} = ({text}).{self.r.choice(REDUCE)}")

    def branch(self) -> bool:
        a, b = self.pair()
        v = self.new()
        how = self.r.choice(("{a}.sum() > 0", "({a} > 0.5).any()", "k % 2", "{a}.mean().item() < {b}.mean().item()",
                             "k == 1", "{a}.numel() > 5")).format(a=a, b=b)  # fmt: skip
        one, other = self.r.choice(FUNCTIONS), self.r.choice(UNARY)
        line = f"if {how}:\n    {v} = {self.fill(one)}\nelse:\n    {v} = {a}.{other}"
        if self.r.random() < 0.3:
            line += f"\n    {b}.add_(1)"
        return self.keep_line(line)

    def loop(self) -> bool:
        a, b = self.pair()
        v = self.new()
        return self.keep_line(self.r.choice((
            f"{v} = {a}\nfor i in range(3 + k):\n    {v} = {v} * 0.5 + {b}",
            f"{v} = {a}\nfor i in range(3):\n    {v} = torch.tanh({v} @ {b})",
            f"{v} = [e * 2 for e in {a}][0]",
            f"{v} = {a}.clone()\nfor e in {v}:\n    e.mul_(2)",
            f"{v} = torch.stack([e.sum() * j for j, e in enumerate({a})])",
            f"{v} = {a}.float()\nn = 0\nwhile {v}.norm() < 9 and n < 5:\n    {v} = {v} * 3 + 1\n    n += 1",
            f"{v} = {a}.clone()\nfor i in range({v}.shape[0]):\n    {v}[i] = {v}[i - 1] + i",
        )))  # fmt: skip

    def list(self) -> bool:
        a = self.pick()
        return self.keep_line(self.r.choice((
            f"keep.append({a})", f"keep.append({a} * 2)", f"keep.append({a})\ndel keep[:-3]", f"keep[:] = [{a}, {a} + 1]",
            f"{self.new()} = keep[-1] * 2", f"keep[-1].add_({a})", f"{self.new()} = keep.pop()", "keep.clear()",
            f"{self.new()} = sum(keep)", f"keep.append({a}.sum())", f"keep.append({a}.detach())", f"keep.append([{a}, {{'a': {a}}}])",
        )))  # fmt: skip

    def delete(self) -> bool:
        names = [n for n in self.tensors() if n.startswith("v")]
        return bool(names) and self.keep_line(f"del {self.r.choice(names)}")

    def backward(self) -> bool:
        what = self.r.random()
        if what < 0.25:
            return self.keep_line(self.fill(self.r.choice(HOOKS)))
        if what < 0.45:
            return self.keep_line(f"{self.new()} = {self.fill(self.r.choice(GRADIENT))}")
        a = self.pick()
        tracked = [n for n in self.tensors() if self.env[n].requires_grad]
        if what < 0.55 and tracked:
            a = self.r.choice(tracked)
            return self.keep_line(self.r.choice((
                f"{self.new()} = {a}.grad * 2", f"{a}.grad = None", f"{a}.grad.mul_(0.5)", f"{a}.grad.zero_()",
                f"{a}.data.add_({a}.grad, alpha=-0.1)", f"with torch.no_grad():\n    {a} -= 0.1 * {a}.grad",
                f"log.append({a}.grad.sum().item())", f"{a}.grad = torch.ones_like({a})",
            )))  # fmt: skip
        line = self.fill(self.r.choice(BACKWARD))
        return self.keep_line(line)

    def train(self) -> bool:
        if "model" not in self.env:
            return False
        v = self.new()
        return self.keep_line(self.r.choice((
            f"{v} = model(xm)", f"{v} = model(xm * 2).relu()", "model.train(k % 2 == 0)", "opt.step()", "opt.zero_grad()",
            "opt.zero_grad(set_to_none=False)", "opt.param_groups[0]['lr'] *= 0.9",
            f"opt.zero_grad()\n{v} = model(xm).square().mean()\n{v}.backward()\nopt.step()",
            f"{v} = F.mse_loss(model(xm), torch.ones(()))\n{v}.backward()\nopt.step()\nopt.zero_grad()",
            f"model(xm).sum().backward()\n{v} = nn.utils.clip_grad_norm_(model.parameters(), 0.5)",
            f"with torch.no_grad():\n    {v} = model(xm)\n    for q in model.parameters():\n        q.mul_(0.99)",
            f"{v} = torch.utils.checkpoint.checkpoint(model, xm, use_reentrant=False).sum()\n{v}.backward()",
            "loss = model(xm).sum()\nloss.backward()\nopt.step(lambda: loss)",
            f"{v} = sum(q.square().sum() for q in model.parameters())\n{v}.backward()",
            f"{v} = torch.cat([q.flatten() for q in model.parameters()]).detach()",
            f"{v} = torch.func.functional_call(model, {{n: q * 2 for n, q in model.named_parameters()}}, (xm,))",
        )))  # fmt: skip

    def block(self) -> bool:
        """Some statements under a context."""
        outside = self.lines
        how = self.r.choice(BLOCKS)
        if self.program.steady and UNSTEADY.search(how):
            return False
        context = eval(how, self.env)
        self.lines = inside = []
        with context:
            for _ in range(self.r.randrange(1, 4)):
                self.statement()
        self.lines = outside
        if inside:
            text = "\n".join("    " + part for line in inside for part in line.split("\n"))
            self.lines.append(f"with {how}:\n{text}")
        return bool(inside)

    def fail(self) -> bool:
        return self.keep_line(f"if k == {self.r.randrange(1, 3)}:\n    raise KeyError('stop')")

    def numpy(self) -> bool:
        a, v = self.pick(), self.new()
        if "array" in self.env and self.r.random() < 0.6:
            return self.keep_line(self.r.choice((
                "array[0] += 1", f"{v} = alias * 2", "alias.add_(1)", "log.append(array.copy())", f"{v} = alias[1:] + array[0]",
                "array[:] = array[::-1].copy()", "alias[0] = 5.0", f"{v} = torch.from_numpy(array[1:])", "alias.mul_(alias)",
            )))  # fmt: skip
        return self.keep_line(self.r.choice((
            f"log.append({a}.detach().numpy().copy())", f"{a}.detach().numpy()[...] = 3", f"{v} = torch.from_numpy({a}.detach().numpy())",
            f"{v} = {a}.numpy()\n{a}.add_(1)\nlog.append({v}.copy())\n{v} = {a} + 1", f"{v} = torch.tensor({a}.tolist())",
            f"{v} = torch.as_tensor(numpy.ones(3)) * {a}",
            f"memory = {a}.detach().numpy()\n{v} = {a} * 2\nmemory[...] = 0\n{v} = {v} + {a}",
        )))  # fmt: skip

    def nested(self) -> bool:
        a, v = self.pick(), self.new()
        return self.keep_line(self.r.choice((
            f"{v} = inner({a})", f"{v} = inner({a} * 2) + inner({a})", f"{v} = [inner(e) for e in {a}][-1]",
            f"{v} = (lambda x: x.exp() + x)({a})", f"{v} = next(e * 2 for e in {a})",
        )))  # fmt: skip

    def registry(self) -> bool:
        """Any operator with one of its samples, with some tensors replaced by those of the program."""
        name = self.r.choice(NAMES)
        dtype = self.r.choice(("float32", "float32", "float64", "bfloat16", "int64"))
        seed = self.r.randrange(50)
        try:
            found = samples_of(OPERATORS[name], Make(getattr(torch, dtype), seed))
        except Exception:
            return False
        if not found:
            return False
        number = self.r.randrange(len(found))
        args = found[number][0]
        s = f"s{len(self.program.inputs)}"
        made = f"{s} = samples({name!r}, {number}, torch.{dtype}, {seed} + k)"
        try:
            exec(made, self.env)
        except Exception:
            return False
        given = []
        for j, one in enumerate(args):
            if isinstance(one, torch.Tensor):
                like = [
                    n
                    for n in self.tensors()
                    if self.env[n].shape == one.shape and self.env[n].dtype is one.dtype
                ]
                if like and self.r.random() < 0.7:
                    given.append(f"{j}: {self.r.choice(like)}")
        variant = ", variant='inplace'" if OPERATORS[name].inplace and self.r.random() < 0.25 else ""
        call = f"apply({name!r}, {s}, {{{', '.join(given)}}}{variant})"
        v = self.new()
        ok = self.keep_line(f"{v} = {call}")
        if not ok:
            return False
        self.program.inputs.append(made)
        result = self.env.get(v)  # absent where the exception was kept
        if isinstance(result, (tuple, list)) and len(result) and self.r.random() < 0.8:
            self.keep_line(f"{v} = {v}[{self.r.randrange(len(result))}]")
        return True


NAMES = sorted(
    n
    for n in OPERATORS
    if not any(part in n for part in SKIPPED) and not n.startswith(("multiprocessing", "save", "load"))
)


def program_of(seed: int, steady: bool = False) -> Program:
    """The program of a seed."""
    return Writer(seed, steady).write()
