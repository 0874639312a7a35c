"""Small inputs to the most used calls: what a call costs before there is anything to compute.

`python -m benchmarks.overhead [regex]` prints the same rows quickly: processor time, one thread a side, the least of
several blocks, so that other programs on the machine disturb little.
"""

from __future__ import annotations

import re
import sys
import time
import timeit

from benchmarks.measure import Row, Statement

GROUP = "overhead"
LIMIT = 1.2
BLOCKS = 9

STATEMENTS = {
    # making tensors
    "tensor of a number": "torch.tensor(1.0)",
    "tensor of a list": "torch.tensor([1.0, 2.0])",
    "tensor of ints": "torch.tensor([[1, 2], [3, 4]])",
    "tensor with a type": "torch.tensor([1, 2], dtype=torch.float32)",
    "as_tensor of an array": "torch.as_tensor(array)",
    "from_numpy": "torch.from_numpy(array)",
    "zeros": "torch.zeros(4, 4)",
    "ones": "torch.ones((4, 4))",
    "empty": "torch.empty(4, 4)",
    "full": "torch.full((4, 4), 2.5)",
    "rand": "torch.rand(4, 4)",
    "randn": "torch.randn(4, 4)",
    "randint": "torch.randint(0, 10, (4, 4))",
    "randperm": "torch.randperm(8)",
    "arange": "torch.arange(8)",
    "arange from to": "torch.arange(1, 8, 2)",
    "linspace": "torch.linspace(0, 1, 8)",
    "eye": "torch.eye(4)",
    "tril": "torch.tril(a)",
    "zeros_like": "torch.zeros_like(a)",
    "rand_like": "torch.rand_like(a)",
    "new_zeros": "a.new_zeros(4)",
    # reading
    "item": "scalar.item()",
    "float()": "float(scalar)",
    "bool()": "bool(scalar)",
    "tolist": "a.tolist()",
    "numpy()": "a.numpy()",
    "len": "len(a)",
    "shape": "a.shape",
    "shape entry": "a.shape[0]",
    "size(0)": "a.size(0)",
    "unpacked shape": "n, c, h, w = image.shape",
    "dim": "a.dim()",
    "numel": "a.numel()",
    "dtype": "a.dtype",
    "device": "a.device",
    "requires_grad": "p.requires_grad",
    "is_contiguous": "a.is_contiguous()",
    "data_ptr": "a.data_ptr()",
    "repr": "repr(a)",
    "str of a number": "str(scalar)",
    "format": "f'{scalar:.3f}'",
    "iterate": "for row in a: pass",
    "equal": "torch.equal(a, b)",
    "allclose": "torch.allclose(a, a)",
    "is_tensor": "torch.is_tensor(a)",
    # conversions and copies
    "to same type": "a.to(torch.float32)",
    "to float64": "a.to(torch.float64)",
    "to device": "a.to('cpu')",
    "float": "a.float()",
    "long": "a.long()",
    "cpu": "a.cpu()",
    "clone": "a.clone()",
    "clone with gradient": "p.clone()",
    "detach": "p.detach()",
    "data": "p.data",
    "contiguous": "a.contiguous()",
    "contiguous copy": "turned.contiguous()",
    "copy_": "target.copy_(a)",
    "fill_": "target.fill_(1.0)",
    "zero_": "target.zero_()",
    # shapes
    "reshape": "a.reshape(2, 8)",
    "view -1": "a.view(-1)",
    "flatten": "image.flatten(1)",
    "transpose": "a.transpose(0, 1)",
    "t": "a.t()",
    "T": "a.T",
    "mT": "a.mT",
    "permute": "image.permute(0, 2, 3, 1)",
    "unsqueeze": "a.unsqueeze(0)",
    "squeeze": "one_more.squeeze(0)",
    "expand": "one_more.expand(3, 4, 4)",
    "expand_as": "row.expand_as(a)",
    "repeat": "a.repeat(2, 1)",
    "cat": "torch.cat([a, b])",
    "cat with gradient": "torch.cat([p, b], dim=1)",
    "stack": "torch.stack([a, b])",
    "split": "a.split(2)",
    "chunk": "a.chunk(2, dim=1)",
    "unbind": "a.unbind()",
    "narrow": "a.narrow(0, 1, 2)",
    "flip": "a.flip(0)",
    "roll": "torch.roll(a, 1, 0)",
    # indexing
    "index int": "a[1]",
    "index -1": "a[-1]",
    "index two ints": "a[1, 2]",
    "index slice": "a[1:3]",
    "index column": "a[:, 1]",
    "index ellipsis": "a[..., 0]",
    "index None": "a[None]",
    "index mask": "a[mask]",
    "index tensor": "a[rows]",
    "index two tensors": "a[rows, columns]",
    "index list": "a[[0, 2]]",
    "set int": "target[1] = 2.0",
    "set element": "target[1, 2] = 2.0",
    "set slice": "target[:, 1] = row",
    "set mask": "target[mask] = 0.0",
    "set tensor": "target[rows] = row",
    "gather": "a.gather(1, labels_column)",
    "scatter_": "target.scatter_(1, labels_column, 1.0)",
    "scatter_add": "a.scatter_add(1, labels_column, one_column)",
    "index_select": "a.index_select(0, rows)",
    "index_add": "a.index_add(0, rows, two_rows)",
    "masked_select": "a.masked_select(mask)",
    "nonzero": "mask.nonzero()",
    "take_along_dim": "torch.take_along_dim(a, labels_column, 1)",
    # pointwise
    "where": "torch.where(mask, a, b)",
    "where number": "torch.where(mask, a, 0.0)",
    "masked_fill": "a.masked_fill(mask, 0.0)",
    "masked_fill_": "target.masked_fill_(mask, 0.0)",
    "clamp": "a.clamp(0, 1)",
    "clamp min": "a.clamp(min=0)",
    "maximum": "torch.maximum(a, b)",
    "greater": "a > 0",
    "equals": "a == b",
    "not": "~mask",
    "and": "mask & mask",
    "sub from number": "1 - a",
    "div": "a / 2",
    "power": "a ** 2",
    "floor_divide": "ints // 2",
    "remainder": "ints % 3",
    "neg": "-a",
    "abs": "a.abs()",
    "exp": "a.exp()",
    "sqrt": "positive.sqrt()",
    "sigmoid": "torch.sigmoid(a)",
    "tanh": "torch.tanh(a)",
    "add_ a number": "target.add_(1)",
    "add_ alpha": "target.add_(b, alpha=0.1)",
    "addcmul": "torch.addcmul(a, a, b)",
    "lerp": "torch.lerp(a, b, 0.5)",
    "lerp_": "target.lerp_(b, 0.5)",
    "mul with gradient": "p * p",
    "isnan": "a.isnan()",
    "isfinite": "torch.isfinite(a)",
    # reductions
    "max": "a.max()",
    "max dim": "a.max(dim=1)",
    "min dim": "a.min(1)",
    "amax": "a.amax(1)",
    "argmax": "a.argmax()",
    "argmax dim": "a.argmax(dim=1)",
    "mean": "a.mean()",
    "mean dim": "a.mean(dim=1)",
    "mean with gradient": "p.mean()",
    "sum dim": "a.sum(1)",
    "sum keepdim": "a.sum(dim=-1, keepdim=True)",
    "std": "a.std()",
    "std dim": "a.std(dim=0)",
    "var dim": "a.var(1, keepdim=True)",
    "prod": "a.prod()",
    "any": "mask.any()",
    "all": "mask.all()",
    "norm": "a.norm()",
    "norm dim": "a.norm(dim=1)",
    "vector_norm": "torch.linalg.vector_norm(a)",
    "logsumexp": "a.logsumexp(1)",
    "cumsum": "a.cumsum(0)",
    "topk": "a.topk(2)",
    "sort": "a.sort()",
    "argsort": "a.argsort()",
    "unique": "labels.unique()",
    "accuracy": "(a.argmax(1) == labels).sum().item()",
    # products
    "matmul": "a @ b",
    "mm": "torch.mm(a, b)",
    "bmm": "torch.bmm(batch, batch)",
    "matmul batched": "batch @ batch",
    "matvec": "a @ row",
    "dot": "torch.dot(row, row)",
    "outer": "torch.outer(row, row)",
    "einsum": "torch.einsum('ij,jk->ik', a, b)",
    "einsum batched": "torch.einsum('bij,bjk->bik', batch, batch)",
    "addmm": "torch.addmm(row, a, b)",
    "baddbmm": "torch.baddbmm(batch, batch, batch)",
    # functional
    "softmax": "functional.softmax(a, dim=-1)",
    "softmax method": "a.softmax(-1)",
    "log_softmax": "functional.log_softmax(a, dim=-1)",
    "linear": "functional.linear(a, b, row)",
    "linear with gradient": "functional.linear(a, p, bias)",
    "layer_norm": "functional.layer_norm(a, (4,))",
    "layer_norm affine": "functional.layer_norm(a, (4,), row, row)",
    "layer_norm with gradient": "functional.layer_norm(p, (4,), bias, bias)",
    "rms_norm": "functional.rms_norm(a, (4,), row)",
    "group_norm": "functional.group_norm(image, 3)",
    "batch_norm train": "functional.batch_norm(image, means, variances, training=True)",
    "batch_norm eval": "functional.batch_norm(image, means, variances)",
    "conv2d": "functional.conv2d(image, kernel, padding=1)",
    "conv2d with gradient": "functional.conv2d(image, kernel_p, padding=1)",
    "conv1d": "functional.conv1d(batch, kernel_1d)",
    "max_pool2d": "functional.max_pool2d(image, 2)",
    "avg_pool2d": "functional.avg_pool2d(image, 2)",
    "adaptive_avg_pool2d": "functional.adaptive_avg_pool2d(image, 1)",
    "interpolate": "functional.interpolate(image, scale_factor=2)",
    "pad": "functional.pad(a, (1, 1))",
    "embedding": "functional.embedding(labels, a)",
    "embedding with gradient": "functional.embedding(labels, p)",
    "one_hot": "functional.one_hot(labels, 4)",
    "dropout": "functional.dropout(a, 0.5)",
    "dropout eval": "functional.dropout(a, 0.5, training=False)",
    "relu": "functional.relu(a)",
    "gelu": "functional.gelu(a)",
    "silu": "functional.silu(a)",
    "leaky_relu": "functional.leaky_relu(a, 0.1)",
    "softplus": "functional.softplus(a)",
    "normalize": "functional.normalize(a, dim=1)",
    "cosine_similarity": "functional.cosine_similarity(a, b)",
    "cross_entropy": "functional.cross_entropy(a, labels)",
    "cross_entropy with gradient": "functional.cross_entropy(p, labels)",
    "nll_loss": "functional.nll_loss(a, labels)",
    "mse_loss": "functional.mse_loss(a, b)",
    "mse_loss with gradient": "functional.mse_loss(p, b)",
    "l1_loss": "functional.l1_loss(a, b)",
    "smooth_l1_loss": "functional.smooth_l1_loss(a, b)",
    "bce": "functional.binary_cross_entropy(inside, inside)",
    "bce with logits": "functional.binary_cross_entropy_with_logits(a, inside)",
    "kl_div": "functional.kl_div(a, inside, reduction='batchmean')",
    "attention": "functional.scaled_dot_product_attention(heads, heads, heads)",
    # modules
    "Linear": "linear(a)",
    "Linear no_grad": "with torch.no_grad(): linear(a)",
    "ReLU module": "relu(a)",
    "Sequential": "network(a)",
    "LayerNorm module": "layer_norm(a)",
    "BatchNorm2d train": "batch_norm(image)",
    "BatchNorm2d eval": "batch_norm_eval(image)",
    "Conv2d": "convolution(image)",
    "Dropout module": "dropout(a)",
    "Embedding module": "embedding(labels)",
    "CrossEntropyLoss": "criterion(a, labels)",
    "Module of one's own": "own(a)",
    "state_dict": "network.state_dict()",
    "load_state_dict": "network.load_state_dict(state)",
    "parameters": "list(network.parameters())",
    "named_parameters": "dict(network.named_parameters())",
    "train()": "network.train()",
    "module zero_grad": "network.zero_grad()",
    "construct Linear": "torch.nn.Linear(4, 4)",
    # training
    "zero_grad": "sgd.zero_grad()",
    "SGD step": "sgd.step()",
    "SGD momentum step": "momentum.step()",
    "Adam step": "adam.step()",
    "AdamW step": "adamw.step()",
    "clip_grad_norm_": "torch.nn.utils.clip_grad_norm_(parameters, 1.0)",
    "autograd.grad": "torch.autograd.grad((p * a).sum(), p)",
    "backward": "(p * a).sum().backward()",
    "backward of a network": "network(a).sum().backward()",
    "detach_": "(a * 1).detach_()",
    "requires_grad_": "target.requires_grad_(False)",
    "no_grad": "with torch.no_grad(): pass",
    "inference_mode": "with torch.inference_mode(): pass",
    "set_grad_enabled": "with torch.set_grad_enabled(True): pass",
    "is_grad_enabled": "torch.is_grad_enabled()",
    "manual_seed": "torch.manual_seed(0)",
    "Parameter": "torch.nn.Parameter(a)",
    "get_default_dtype": "torch.get_default_dtype()",
    "autocast": "with torch.autocast('cpu'): pass",
    "scheduler step": "scheduler.step()",
}


def tensors(torch) -> dict:
    """Plain tensors that the statements use."""
    import numpy

    torch.manual_seed(0)
    a = torch.randn(4, 4)
    return {
        "torch": torch,
        "functional": torch.nn.functional,
        "array": numpy.ones((4, 4), dtype="float32"),
        "a": a,
        "b": torch.randn(4, 4),
        "p": torch.randn(4, 4, requires_grad=True),
        "bias": torch.randn(4, requires_grad=True),
        "target": torch.ones(4, 4),
        "positive": torch.rand(4, 4) + 0.1,
        "inside": torch.rand(4, 4) * 0.9 + 0.05,
        "turned": torch.randn(4, 4).t(),
        "one_more": torch.randn(1, 4, 4),
        "batch": torch.randn(2, 4, 4),
        "heads": torch.randn(2, 2, 4, 4),
        "image": torch.randn(2, 3, 8, 8),
        "kernel": torch.randn(4, 3, 3, 3),
        "kernel_p": torch.randn(4, 3, 3, 3, requires_grad=True),
        "kernel_1d": torch.randn(4, 4, 3),
        "means": torch.zeros(3),
        "variances": torch.ones(3),
        "row": torch.randn(4),
        "two_rows": torch.randn(2, 4),
        "one_column": torch.ones(4, 1),
        "scalar": torch.tensor(1.5),
        "mask": a > 0,
        "ints": torch.arange(16).reshape(4, 4),
        "rows": torch.tensor([0, 2]),
        "columns": torch.tensor([1, 3]),
        "labels": torch.tensor([0, 1, 2, 3]),
        "labels_column": torch.tensor([[0], [1], [2], [3]]),
    }


def modules(torch) -> dict:
    """Modules and optimisers that the statements use."""
    nn, optim = torch.nn, torch.optim

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x):
            return self.inner(x)

    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
    networks = [nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4)) for _ in range(5)]
    for one in networks:
        one(torch.randn(4, 4)).sum().backward()
    sgd, momentum, adam, adamw, clipped = (list(one.parameters()) for one in networks)
    made = {
        "linear": nn.Linear(4, 4),
        "relu": nn.ReLU(),
        "network": network,
        "state": {name: value.clone() for name, value in network.state_dict().items()},
        "layer_norm": nn.LayerNorm(4),
        "batch_norm": nn.BatchNorm2d(3),
        "batch_norm_eval": nn.BatchNorm2d(3).eval(),
        "convolution": nn.Conv2d(3, 4, 3),
        "dropout": nn.Dropout(0.5),
        "embedding": nn.Embedding(4, 4),
        "criterion": nn.CrossEntropyLoss(),
        "own": Own(),
        "parameters": clipped,
        "sgd": optim.SGD(sgd, lr=1e-4),
        "momentum": optim.SGD(momentum, lr=1e-4, momentum=0.9),
        "adam": optim.Adam(adam, lr=1e-4),
        "adamw": optim.AdamW(adamw, lr=1e-4),
    }
    optimizer = optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1)
    optimizer.step()
    made["scheduler"] = optim.lr_scheduler.StepLR(optimizer, step_size=1000)
    return made


MODULE_NAMES = {
    "linear", "relu", "network", "state", "layer_norm", "batch_norm", "batch_norm_eval", "convolution", "dropout",
    "embedding", "criterion", "own", "parameters", "sgd", "momentum", "adam", "adamw", "scheduler",
}  # fmt: skip


def statement_row(name: str, source: str) -> Row:
    def build(torch) -> Statement:
        names = tensors(torch)
        if MODULE_NAMES & set(re.findall(r"\w+", source)):
            names |= modules(torch)
        if name == "zero_grad":  # there is something to do in each call of a training loop only
            names["sgd"].zero_grad()
        return Statement(source, names)

    return Row(f"small {name}", GROUP, build, LIMIT)


ROWS = [statement_row(name, source) for name, source in STATEMENTS.items()]


def least(statement: Statement, number: int = 0) -> tuple[float, int]:
    """Processor time of one call in a block of calls, and how many fill a block."""
    clock = timeit.Timer(statement.source, globals=statement.names, timer=time.process_time)
    if not number:
        clock.timeit(20)
        number = max(10, int(0.004 / (clock.timeit(50) / 50 + 1e-8)))
    return clock.timeit(number) / number, number


def main(pattern: str = "") -> None:
    """Print every row whose name matches, the slowest against PyTorch first."""
    import torch

    import flambeau

    sides = {"flambeau": flambeau, "torch": torch}
    for module in sides.values():
        module.set_num_threads(1)
    found = []
    for row in ROWS:
        if not re.search(pattern, row.name):
            continue
        best: dict[str, float] = {}
        statements = {}
        for side, module in sides.items():
            statements[side] = row.build(module)
        counts = {}
        for _ in range(BLOCKS):
            for side, statement in statements.items():
                spent, counts[side] = least(statement, counts.get(side, 0))
                best[side] = min(best.get(side, spent), spent)
        found.append((best["flambeau"] / best["torch"], row.name, best))
    for ratio, name, best in sorted(found, key=lambda one: -one[0]):
        print(f"{ratio:5.2f}  {name:32} {best['flambeau'] * 1e6:8.2f} {best['torch'] * 1e6:8.2f} us")


if __name__ == "__main__":
    main(*sys.argv[1:])
