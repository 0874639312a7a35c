"""Indexing, gather and scatter against PyTorch: a table of expressions (values and errors) and random indices."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

import flambeau  # noqa: E402

#: evaluated with x (3, 4, 5), y (3, 4), v (6), s (0-d), m the module, i an index vector, np
EXPRESSIONS = """
x[[0,1]] | x[[[0,1],[1,2]]] | x[[slice(0,1),2]] | x[(0,1),2] | x[...,...] | x[...,0,...] | x[5] | x[0,9] | x[:,9] | x[0,0,0,0]
x[1.0] | x['a'] | x[1.0:2] | x[::-1] | x[True] | x[False] | x[m.tensor(True)] | x[m.tensor(1)] | x[m.tensor(1,dtype=m.uint8)]
x[m.tensor([0,5])] | x[m.tensor([0,-4])] | x[:,m.tensor([0,5])] | x[m.tensor([1.0])] | x[m.tensor([True,False])]
x[:,m.ones(3,dtype=m.bool)] | x[m.ones(3,5,dtype=m.bool)] | x[m.tensor([0,1]),m.tensor([0,1,2])] | x[m.tensor([0,1],dtype=m.int16)]
x[np.array([0,1])] | x[np.int64(1)] | x[np.array(1)] | x[range(2)] | x[None,None] | x[0][0][0][0] | s[0] | s[...] | s[None] | s[True]
s[()] | x[()] | x[m.tensor([],dtype=m.long)] | x[[]] | x[m.tensor([])] | x[0,:,m.tensor([0,1])] | x[i,:,i] | x[:,:,:,None]
x[0:2,None,i] | x[i,None,i] | x[True,i] | x[2**70] | x[i:] | x[m.tensor(1):] | x[:True] | x[3:1] | x[-10:10] | x[slice(None,None,0)]
x[{1:2}] | x[[True,False,True]] | x[[0.5]] | x[['a']] | x[[None]] | x[[None,0]] | x[[m.tensor(0),m.tensor(1)]] | x[(m.tensor(0),[0,1])]
x[m.ones(3,4,5,6,dtype=m.bool)] | x[m.ones(0,dtype=m.bool)] | x[0,m.ones(2,dtype=m.bool)] | x[i.int()] | x[i[:,None],i] | x[i,1:3,i]
x[y>5] | x[:,y[0]>1] | x[x>7] | x[..., m.tensor([[0,1],[2,3]])] | x[m.tensor([[2]]),m.tensor([0,1,3])] | x[-1,-1,-1] | x[:,-1:,1::2]
y.index_select(0,m.tensor([5])) | y.index_select(0,m.tensor([-1])) | y.index_select(0,m.tensor([[0]])) | y.index_select(0,m.tensor([0.]))
y.index_select(0,i.int()) | y.index_select(0,m.tensor([0],dtype=m.uint8)) | s.index_select(0,m.tensor([0])) | s.index_select(0,i)
s.index_select(0,m.tensor(0)) | y.index_select(0,m.tensor(1)) | y.index_select(5,m.tensor(1)) | y.index_select(1,i)
y.index_add(0,m.tensor([5]),m.ones(1,4)) | y.index_add(0,m.tensor([-1]),m.ones(1,4)) | y.index_add(0,m.tensor([1]),m.ones(2,4))
y.index_add(0,m.tensor([1]),m.ones(1,3)) | y.index_add(0,m.tensor([[1]]),m.ones(1,4)) | y.index_add(0,m.tensor([1.]),m.ones(1,4))
y.index_add(0,m.tensor([1]),m.ones(1,4,dtype=m.double)) | y.index_add(0,m.tensor([1]),m.ones(4)) | y.index_add(0,m.tensor(1),m.ones(1,4))
y.index_add(0,i,y[:2],alpha=2) | m.arange(3).index_add(0,m.tensor([1]),m.arange(1),alpha=1.5) | s.index_add(0,m.tensor([0]),m.tensor(1.))
s.index_add(0,m.tensor(0),m.tensor([1.])) | y.index_add(1,m.tensor([1,1,1]),y[:,:3])
y.index_copy(0,m.tensor([5]),m.ones(1,4)) | y.index_copy(0,m.tensor([-1]),m.ones(1,4)) | y.index_copy(0,m.tensor([1]),m.ones(2,4))
y.index_copy(0,m.tensor([1]),m.ones(1,3)) | y.index_copy(0,m.tensor([1.]),m.ones(1,4)) | y.index_copy(0,m.tensor([1,1]),m.tensor(1.))
y.index_copy(0,m.tensor([1]),m.ones(1,4,dtype=m.double)) | y.index_copy(0,m.tensor([[1]]),m.ones(1,4)) | y.index_copy(1,i,y[:,2:])
y.index_copy(0,m.tensor([1],dtype=m.int),m.ones(1,4)) | y.index_fill(0,m.tensor([5]),1) | y.index_fill(0,m.tensor([-1]),1)
y.index_fill(0,m.tensor([[1]]),1) | y.index_fill(0,m.tensor([1]),m.tensor([1.])) | y.index_fill(0,m.tensor([1.]),1)
y.index_fill(0,m.tensor([1],dtype=m.int),1) | y.index_fill(0,m.tensor([1]),1j) | s.index_fill(0,m.tensor([0]),5)
m.arange(3).index_fill(0,m.tensor([1]),1.5) | y.index_fill(1,i,m.tensor(7.)) | y.index_reduce(0,m.tensor([5]),m.ones(1,4),'prod')
y.index_reduce(0,m.tensor([1]),m.ones(1,4),'sum') | y.index_reduce(0,m.tensor([1]),m.ones(1,4,dtype=m.double),'prod')
y.index_reduce(0,m.tensor([1]),m.ones(1,3),'prod') | y.index_reduce(1,m.tensor([1,1]),y[:,:2],'amax',include_self=False)
y.gather(0,m.tensor([[5]])) | y.gather(0,m.tensor([[-1]])) | y.gather(0,m.tensor([0])) | y.gather(0,m.tensor([[0.]]))
y.gather(0,m.tensor([[0]],dtype=m.int)) | y.gather(1,m.zeros(4,1,dtype=m.long)) | y.gather(2,m.tensor([[0]])) | s.gather(0,m.tensor(0))
s.gather(0,m.tensor([0,0])) | y.gather(0,m.tensor([],dtype=m.long)) | y.gather(0,m.zeros(0,9,dtype=m.long)) | y.t().gather(1,m.tensor([[2,0],[1,1]]))
y.scatter(0,m.tensor([[5]]),1) | y.scatter(0,m.tensor([[-1]]),1) | y.scatter(0,m.tensor([0]),1) | y.scatter(0,m.tensor([[0.]]),1)
y.scatter(0,m.tensor([[0]]),m.ones(1,1,dtype=m.double)) | y.scatter(0,m.tensor([[0,0]]),m.ones(1,1))
y.scatter(0,m.tensor([[0]],dtype=m.int),1.) | y.scatter(0,m.tensor([[0]]),1.,reduce='add') | y.scatter(0,m.tensor([[0]]),1.,reduce='foo')
y.scatter(0,m.tensor([[1,1,1]]),m.full((2,3),3.),reduce='multiply') | y.scatter(0,m.zeros(4,4,dtype=m.long),1.)
y.scatter(1,m.zeros(4,4,dtype=m.long),1.) | y.scatter(5,m.tensor([[0]]),1) | y.scatter(0,m.tensor([[0]]),1j)
m.arange(3).scatter(0,m.tensor([0]),1.5) | y.scatter(0,m.tensor([[0]]),m.tensor(1.)) | y.scatter(1,m.tensor([[3,0],[1,2]]),y)
y.scatter(1,m.tensor([[3],[1]]),value=9) | y.scatter_add(0,m.tensor([[5]]),m.ones(1,1)) | y.scatter_add(0,m.tensor([[0]]),1.)
y.scatter_add(0,m.tensor([[0]]),m.ones(1,1,dtype=m.double)) | y.scatter_add(0,m.tensor([0]),m.ones(1,1))
y.scatter_add(1,m.zeros(3,4,dtype=m.long),y) | y.scatter_reduce(0,m.tensor([[5]]),m.ones(1,1),'sum')
y.scatter_reduce(0,m.tensor([[0]]),m.ones(1,1),'foo') | y.scatter_reduce(0,m.tensor([[0]]),m.ones(1,1,dtype=m.double),'sum')
y.scatter_reduce(0,m.zeros(3,4,dtype=m.long),y,'mean',include_self=False) | m.arange(4).scatter_reduce(0,m.tensor([0,0,3]),m.tensor([-7,2,9]),'mean')
y.take(m.tensor([20])) | y.take(m.tensor([-13])) | y.take(m.tensor([-1])) | y.take(m.tensor([0.])) | y.take(m.tensor([0],dtype=m.int))
m.empty(0).take(m.tensor([0])) | m.empty(0).take(m.tensor([],dtype=m.long)) | y.put(m.tensor([20]),m.tensor([1.]))
y.put(m.tensor([0]),m.tensor([1.,2.])) | y.put(m.tensor([0]),m.tensor([1.],dtype=m.double)) | y.put(m.tensor([0.]),m.tensor([1.]))
y.put(m.tensor([3,3,-1]),m.tensor([1.,2.,3.])) | y.put(m.tensor([3,3,-1]),m.tensor([1.,2.,3.]),accumulate=True)
y.take_along_dim(m.tensor([[5]]),0) | m.take_along_dim(y,m.tensor([0]),0) | m.take_along_dim(y,m.tensor([0.,0.])) | m.take_along_dim(y,m.tensor([1,3]))
m.take_along_dim(y,m.tensor([[-1]]),0) | y.masked_select(m.tensor([True,False])) | y.masked_select(y) | y.masked_select(m.tensor([True,False,True,True]))
y.masked_scatter(y>3,m.ones(3)) | y.masked_scatter(y>3,m.ones(20,dtype=m.double)) | y.masked_scatter(y,m.ones(3)) | y.masked_scatter(y>3,y)
y.index_put((m.tensor([5]),),m.tensor(1.)) | y.index_put((m.tensor([0]),),m.ones(3)) | y.index_put((i,i,i),m.tensor(1.))
y.index_put((m.tensor([0.]),),m.tensor(1.)) | y.index_put(m.tensor([0]),m.tensor(1.)) | y.index_put((y>3,),m.tensor(1.)) | y.index_put(i,s)
y.index_put((i,),y[:2],accumulate=True) | m.unravel_index(m.tensor([5]),(2,3)) | m.unravel_index(m.tensor([7]),(2,3))
m.cat([]) | m.stack([]) | m.hstack([]) | m.cat([s,v]) | m.cat([y,v]) | m.cat([y,x[0]],1) | m.stack([v,s]) | m.cat(y) | m.cat([y],5)
m.cat([m.ones(0),y]) | m.cat([m.ones(0),m.ones(0)],1) | m.cat([v,m.ones(2,dtype=m.float64)]) | m.stack([s,m.tensor(1,dtype=m.float64)])
m.hstack([v,v]) | m.vstack([v,v]) | m.dstack([y,y]) | m.column_stack([v,m.stack([v,v],1)]) | m.cat([x,x],-1) | m.stack([y,y],-1) | m.cat([y.t(),y.t()])
m.nn.functional.embedding(m.tensor([5]),y) | m.nn.functional.embedding(m.tensor([-1]),y) | m.nn.functional.embedding(m.tensor([0.]),y)
m.nn.functional.embedding(i,m.ones(3)) | m.nn.functional.embedding(i,y,padding_idx=5) | m.nn.functional.embedding(i[None],y,padding_idx=-3)
m.nn.functional.embedding(m.tensor([0],dtype=m.int16),y) | m.nn.functional.embedding(i,y.clone(),max_norm=2.) | m.nn.functional.embedding(i.int(),y)
m.nn.functional.embedding_bag(i,y) | m.nn.functional.embedding_bag(i,y,m.tensor([1])) | m.nn.functional.embedding_bag(i,y,m.tensor([0,5]))
m.nn.functional.embedding_bag(m.tensor([0,9]),y,m.tensor([0]))
m.nn.functional.embedding_bag(i[None],y,mode='foo') | m.nn.functional.embedding_bag(i[None],y,per_sample_weights=m.ones(1,2))
m.nn.functional.embedding_bag(i[None],y,mode='max') | m.nn.functional.embedding_bag(i,y,m.tensor([0,2]),mode='sum') | m.nn.functional.embedding_bag(i,y,m.tensor([0,1]))
x.view(7,-1) | x.view(-1,-1) | x.view(-2,30) | x.view(3,5) | x.transpose(0,1).view(12,5) | x.permute(0,1) | x.permute(0,0,1) | x.permute(0,1,5)
x.transpose(0,5) | x.t() | x.select(0,7) | x.select(5,0) | s.select(0,0) | x.narrow(0,2,5) | x.narrow(0,-1,1) | x.narrow(0,5,1) | x.narrow(0,0,-1)
s.narrow(0,0,1) | x.narrow(0,m.tensor(1),2) | x.narrow(0,m.tensor([1,1]),2) | x.unbind(5) | s.unbind() | x.split(0) | x.split(-1) | x.split([1,1])
x.split([-1,4]) | x.split(2,5) | s.split(1) | x.chunk(0) | x.chunk(5) | s.chunk(2) | x.tensor_split(0) | x.tensor_split([1,2]) | s.tensor_split(2)
x.tensor_split(m.tensor(2)) | x.tensor_split(2,dim=9) | x.hsplit(2) | x.hsplit(3) | s.hsplit(1) | x.vsplit(2) | v.vsplit(2) | y.dsplit(2) | x.dsplit(5)
x.hsplit(0) | x.diagonal(0,0,0) | x.diagonal(0,0,5) | s.diagonal() | x.diag() | s.diag() | s.diag_embed() | x.diag_embed(0,1,1) | x.unfold(0,5,1)
x.unfold(0,2,0) | x.unfold(0,-1,1) | x.unfold(5,1,1) | s.unfold(0,1,1) | s.unfold(0,2,1) | x.expand(2,4,5) | x.expand(4,5) | x.expand(-1,3,4,5)
x.flatten(2,1) | x.flatten(0,5) | x.unflatten(0,(2,2)) | x.unflatten(0,()) | x.unflatten(1,(2,-1)) | x.squeeze(5) | x.squeeze((0,0)) | x.unsqueeze(5)
x.movedim(0,5) | x.movedim((0,1),(1,)) | x.movedim((0,0),(0,1)) | x.movedim((0,1),(0,0)) | x.movedim((0,2),(1,0)) | x.as_strided((2,2),(1,))
x.as_strided((2,2),(-1,1)) | x.as_strided((20,20),(1,20)) | x.as_strided((2,2),(1,1),-1) | x.as_strided((2,2),(3,7),4) | x.flip(0,0) | x.flip(5) | x.flip(0,2)
x.fliplr() | v.fliplr() | s.flipud() | x.roll(1) | x.roll((1,2),0) | x.roll(1,(0,1)) | x.roll((1,-2),(0,2)) | x.roll((),()) | x.roll(1,9) | x.rot90(1,[0])
x.rot90(1,[0,0]) | x.rot90(3,[0,2]) | s.rot90() | x.repeat(2) | x.repeat(-1,1,1) | x.repeat(2,1,1,3) | x.repeat_interleave(2) | x.repeat_interleave(-1)
x.repeat_interleave(m.tensor([1,2]),0) | x.repeat_interleave(m.tensor([1,-2,1]),0) | x.repeat_interleave(m.tensor([1.,2,1]),0)
x.repeat_interleave(m.tensor([[1]]),0) | x.repeat_interleave(m.tensor([2]),0) | x.repeat_interleave(m.tensor([1,0,3]),0) | m.repeat_interleave(m.tensor([1,2]))
x.tile(2) | x.tile((-1,)) | x.mT | v.mT | y.H | v.H | x.H | v.adjoint() | m.block_diag(x) | m.block_diag(v,y,s) | m.block_diag() | x.ravel() | m.atleast_3d([s,s])
m.broadcast_tensors(v,m.ones(5)) | m.broadcast_tensors(y,v[:4]) | x.select_scatter(m.ones(4,4),0,0) | x.select_scatter(m.ones(4,5),0,9) | x.select_scatter(m.ones(4,5),0,-1)
x.slice_scatter(m.ones(1,4,5),0,0,2) | x.slice_scatter(m.zeros(3,2,5),1,1,-1) | x.diagonal_scatter(m.ones(2,2)) | y.diagonal_scatter(m.zeros(3)) | m.diagflat(y)
"""

#: statements on fresh x, y; evaluated for what they leave in x
STATEMENTS = """
x[0]=m.ones(3) | x[0]=m.ones(1,1,4,5) | x[0]=m.ones(2,4,5) | x[i]=m.ones(3) | x[i]=m.ones(3,4,5) | x[i]=m.ones(1,1,2,4,5) | x[x>3]=m.ones(3)
x[x>3]=1 | x[x>3]=m.tensor(2.) | x[0]='a' | x[0]=[1,2] | x[0]=1j | x[i]=m.ones(4,5,dtype=m.float64) | x[0]=m.ones(4,5,dtype=m.float64)
x[i]=m.ones(4,5,dtype=m.int64) | x[0]=None | x[0]=np.ones((4,5)) | x[[0,1]]=np.ones((4,5)) | x[5]=1 | x[m.tensor([7])]=1 | x[True]=3
x[False]=3 | x[...]=3 | x[i]=1j | x[x>3]=m.ones(2,2) | x[i]=m.ones(1) | x[i]=True | x[1:,None,i]=m.arange(5.) | x[:,i,i]=7 | x[i,:,i]=m.arange(4.)
x[m.tensor([0,0]),1]=m.tensor([[1.],[2.]]) | x[y>5]=m.arange(5.) | x[:,y[0]>1]=-1 | x[1,2,3]=9 | x[...,-1]=m.tensor(4) | x[None]=2 | x[[0,2],1:3]=5
x.index_put_((i,None,i),m.tensor(1.)) | x.index_put_((i,),m.ones(5),accumulate=True) | x.masked_scatter_(x>30,-x) | x.put_(m.tensor([0,-1]),m.tensor([5.,6.]))
x.scatter_(2,m.zeros(3,4,1,dtype=m.long),value=3.) | x.scatter_add_(0,m.zeros(3,4,5,dtype=m.long),x.clone()) | x.index_fill_(1,i,0) | x[i]+=1
x.transpose(0,2)[i]=m.ones(4,3) | x[:,::2].index_add_(1,m.tensor([1,1]),m.ones(3,2,5)) | x[:,1].copy_(m.ones(5)) | x.t_() | x.transpose_(0,2) | x.squeeze_(0)
x.unsqueeze_(1) | x.swapaxes_(0,1) | x.resize_(2,3) | x[i.int()]=5. | x[m.tensor(2)]=5. | x[m.tensor(2),i]=m.tensor([[8.],[9.]]) | x[-1:,...]=6
"""


def split(text):
    return [e.strip() for line in text.strip().splitlines() for e in line.split(" | ")]


def environment(m):
    made = m.arange(60.0).reshape(3, 4, 5)
    return {
        "m": m, "x": made, "y": made.reshape(-1)[:12].clone().reshape(3, 4), "v": m.arange(6.0), "s": m.tensor(2.0),
        "i": m.tensor([2, 0]), "np": np, "torch": m,
    }  # fmt: skip


def plain(t):
    if isinstance(t, (tuple, list)):
        return [plain(e) for e in t]
    return str(t.dtype).rpartition(".")[2], list(t.shape), t.detach().tolist()


#: the part of an error's first line that is the same in PyTorch: the types of a call's overloads are not
def first_line(error):
    return str(error).split("\n")[0]


def outcome(m, text, statement):
    names = environment(m)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if statement:
                exec(text, names)
                return plain(names["x"]) if "resize_" not in text else list(names["x"].shape)
            return plain(eval(text, names))
        except (
            RuntimeError,
            IndexError,
            TypeError,
            ValueError,
            AssertionError,
            NotImplementedError,
        ) as error:
            return type(error).__name__, first_line(error)


def same(a, b):
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, float):
        return a == pytest.approx(b, rel=1e-6, abs=1e-6)
    return a == b


@pytest.mark.parametrize("text", split(EXPRESSIONS))
def test_expression(text):
    expected, found = outcome(torch, text, False), outcome(flambeau, text, False)
    assert same(expected, found), f"\nPyTorch:  {expected}\nFlambeau: {found}"


@pytest.mark.parametrize("text", split(STATEMENTS))
def test_statement(text):
    expected, found = outcome(torch, text, True), outcome(flambeau, text, True)
    assert same(expected, found), f"\nPyTorch:  {expected}\nFlambeau: {found}"


# -- random indices --------------------------------------------------------------------------------------------

SHAPES = [(4,), (3, 4), (2, 3, 4), (2, 3, 2, 3)]


@st.composite
def cases(draw):
    """A shape, an order of its dimensions in memory, and an index that fits (with names for what needs a module)."""
    shape = draw(st.sampled_from(SHAPES))
    order = draw(st.permutations(range(len(shape))))
    items, used, index_shape = [], 0, draw(st.sampled_from([(), (1,), (2,), (2, 1), (1, 3), (0,)]))
    while used < len(shape) and draw(st.integers(0, 9)) < 9:
        n = shape[used]
        kind = draw(
            st.sampled_from(["int", "slice", "none", "tensor", "tensor", "mask", "masks", "bool", "scalar"])
        )
        if kind == "int":
            items.append(("int", draw(st.integers(-n, n - 1))))
        elif kind == "slice":
            items.append(
                (
                    "slice",
                    draw(st.none() | st.integers(-5, 5)),
                    draw(st.none() | st.integers(-5, 5)),
                    draw(st.integers(1, 3)),
                )
            )
        elif kind == "none":
            items.append(("none",))
            continue
        elif kind == "bool":
            items.append(("bool", draw(st.booleans())))
            continue
        elif kind == "tensor":
            wide = draw(st.sampled_from([index_shape, index_shape[-1:], (1, *index_shape)]))
            count = int(np.prod(wide))
            items.append(
                ("tensor", wide, draw(st.lists(st.integers(-n, n - 1), min_size=count, max_size=count)))
            )
        elif kind == "scalar":
            items.append(("scalar", draw(st.integers(-n, n - 1))))
        elif kind == "masks" and used + 1 < len(shape):
            size = n * shape[used + 1]
            items.append(
                ("mask", (n, shape[used + 1]), draw(st.lists(st.booleans(), min_size=size, max_size=size)))
            )
            used += 1
        else:
            items.append(("mask", (n,), draw(st.lists(st.booleans(), min_size=n, max_size=n))))
        used += 1
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), ("dots",))
    return shape, order, items


def index_of(m, items):
    found = []
    for kind, *rest in items:
        if kind == "int" or kind == "bool":
            found.append(rest[0])
        elif kind == "slice":
            found.append(slice(*rest))
        elif kind == "none":
            found.append(None)
        elif kind == "dots":
            found.append(Ellipsis)
        elif kind == "scalar":
            found.append(m.tensor(rest[0]))
        elif kind == "mask":
            found.append(m.tensor(rest[1], dtype=m.bool).reshape(rest[0]))
        else:
            found.append(m.tensor(rest[1], dtype=m.long).reshape(rest[0]))
    return tuple(found)


def laid_out(m, shape, order, dtype):
    """Numbers in a tensor whose dimensions lie in memory in the given order."""
    wide = m.arange(float(np.prod(shape))).reshape([shape[d] for d in order]).to(dtype)
    back = [order.index(d) for d in range(len(shape))]
    return wide.permute(back)


def attempt(run):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return run()
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            return type(error).__name__, first_line(error)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_random_index(case):
    shape, order, items = case

    def run(m):
        x = laid_out(m, shape, order, m.float64).clone().requires_grad_()
        got = (x * 1.0)[index_of(m, items)]
        weight = m.arange(float(got.numel()), dtype=m.float64).reshape(got.shape)
        (got * weight).sum().backward()
        return plain(got), plain(x.grad)

    expected, found = attempt(lambda: run(torch)), attempt(lambda: run(flambeau))
    assert same(expected, found), f"\nPyTorch:  {expected}\nFlambeau: {found}"


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(["float32", "int64", "bool", "complex64", "float16"]), st.integers(0, 3))
def test_random_write(case, dtype, drop):
    shape, order, items = case

    def run(m):
        kind = getattr(m, dtype)
        x = laid_out(m, shape, order, kind)
        base = x.clone() if drop == 3 else x
        index = index_of(m, items)
        target = base[index].shape
        if any(k == "tensor" for k, *_ in items) and drop < 2:
            base[index] = 1  # places may repeat: only one value is the same in any order
        else:
            value = (
                m.arange(float(np.prod(target[drop:]))).reshape(list(target[drop:])).to(kind) if drop else 1
            )
            base[index] = value if not any(k == "tensor" for k, *_ in items) else 1
        return plain(base)

    expected, found = attempt(lambda: run(torch)), attempt(lambda: run(flambeau))
    assert same(expected, found), f"\nPyTorch:  {expected}\nFlambeau: {found}"
