"""Tensors from and to Python, NumPy, buffers and DLPack, old constructors, settings: each as with PyTorch."""

from __future__ import annotations

import array
import warnings

import numpy as np
import pytest

import flambeau

pytest.importorskip("torch")
pytestmark = pytest.mark.parity

#: tensor, as_tensor, asarray, from_numpy, frombuffer, numpy and conversions to Python
EXCHANGE = [
    "torch.tensor(3)",
    "torch.tensor(3.5)",
    "torch.tensor(True)",
    "torch.tensor(1j)",
    "torch.tensor([])",
    "torch.tensor([[]])",
    "torch.tensor([1, 2.5])",
    "torch.tensor([True, 2])",
    "torch.tensor([True, 2.0])",
    "torch.tensor([1, 1j])",
    "torch.tensor([[1, 2], [3, 4]])",
    "torch.tensor([[1, 2], [3]])",
    "torch.tensor([[1, 2], 3])",
    "torch.tensor([1, [2]])",
    "torch.tensor('a')",
    "torch.tensor(['a'])",
    "torch.tensor(None)",
    "torch.tensor([None])",
    "torch.tensor({})",
    "torch.tensor({1: 2})",
    "torch.tensor({1, 2})",
    "torch.tensor(t)",
    "torch.tensor([t[0], t[1]])",
    "torch.tensor([t, t])",
    "torch.tensor([i[0], 1.5])",
    "torch.tensor((1, 2))",
    "torch.tensor(range(3))",
    "torch.tensor(a)",
    "torch.tensor(a[::-1])",
    "torch.tensor(np.float32(3))",
    "torch.tensor(np.int16(3))",
    "torch.tensor(np.bool_(True))",
    "torch.tensor([np.float32(3)])",
    "torch.tensor([np.int16(3), np.float64(2)])",
    "torch.tensor([np.float64(3)])",
    "torch.tensor([a, a])",
    "torch.tensor(np.array(3.0))",
    "torch.tensor(np.array(['a']))",
    "torch.tensor(np.array([None]))",
    "torch.tensor(np.array([1, 2], dtype='>i4'))",
    "torch.tensor(np.array([1, 2], dtype='u2'))",
    "torch.tensor(np.array([1, 2], dtype='u4'))",
    "torch.tensor(np.array([1, 2], dtype='u8'))",
    "torch.tensor(np.array([1, 2], dtype='c8'))",
    "torch.tensor(np.array([1, 2], dtype='f2'))",
    "torch.tensor(np.array([1, 2], dtype='g'))",
    "torch.tensor(np.array(['2020'], dtype='M8'))",
    "torch.tensor(b'ab')",
    "torch.tensor(bytearray(b'ab'))",
    "torch.tensor(memoryview(b'ab'))",
    "torch.tensor(array.array('f', [1, 2]))",
    "torch.tensor(Seq())",
    "torch.tensor(AI())",
    "torch.tensor(AA())",
    "torch.tensor(FL())",
    "torch.tensor(IX())",
    "torch.tensor([FL()])",
    "torch.tensor([IX()])",
    "torch.tensor(2 ** 63)",
    "torch.tensor(2 ** 63 - 1)",
    "torch.tensor(-2 ** 63)",
    "torch.tensor(-2 ** 63 - 1)",
    "torch.tensor([2 ** 64])",
    "torch.tensor(2 ** 63, dtype=torch.float32)",
    "torch.tensor(2 ** 63, dtype=torch.uint64)",
    "torch.tensor(300, dtype=torch.uint8)",
    "torch.tensor(-1, dtype=torch.uint8)",
    "torch.tensor(-1, dtype=torch.uint16)",
    "torch.tensor(300, dtype=torch.int8)",
    "torch.tensor(10000000000.0, dtype=torch.int32)",
    "torch.tensor(float('nan'), dtype=torch.int32)",
    "torch.tensor(3.7, dtype=torch.int32)",
    "torch.tensor(-3.7, dtype=torch.int64)",
    "torch.tensor(1e309)",
    "torch.tensor(1e+300)",
    "torch.tensor(1e+300, dtype=torch.float16)",
    "torch.tensor(1e+39)",
    "torch.tensor(2, dtype=torch.bool)",
    "torch.tensor(0.5, dtype=torch.bool)",
    "torch.tensor(float('nan'), dtype=torch.bool)",
    "torch.tensor(1j, dtype=torch.float32)",
    "torch.tensor([1 + 0j], dtype=torch.float32)",
    "torch.tensor(1j, dtype=torch.bool)",
    "torch.tensor([1.5], dtype=torch.complex64)",
    "torch.tensor([1], dtype=torch.float64, requires_grad=True)",
    "torch.tensor([1], device='meta')",
    "torch.tensor([1], device='cuda')",
    "torch.tensor([1], device='foo')",
    "torch.tensor([1], dtype='float32')",
    "torch.tensor([1], dtype=float)",
    "torch.tensor([1], dtype=int)",
    "torch.tensor([1], dtype=np.float32)",
    "torch.tensor(1, 2)",
    "torch.tensor([1], foo=2)",
    "torch.tensor(data=[1])",
    "torch.tensor([1], pin_memory=False)",
    "torch.tensor(g)",
    "torch.tensor([1.5], dtype=torch.bfloat16)",
    "torch.tensor([1.5], dtype=torch.uint32)",
    "torch.tensor('5')",
    "torch.tensor([[1, 2], [3, 'a']])",
    "torch.tensor([[[1]], [[2]]])",
    "torch.tensor([torch.ones(1), torch.ones(1)])",
    "torch.tensor([[torch.tensor(1), torch.tensor(2.5)]])",
    "torch.tensor([torch.tensor(1j)])",
    "torch.tensor(torch.Size([1, 2]))",
    "torch.tensor([1] * 5).shape",
    "torch.as_tensor(t) is t",
    "torch.as_tensor(t, dtype=torch.float64)",
    "torch.as_tensor(a)",
    "torch.as_tensor(a).data_ptr() == a.ctypes.data",
    "torch.as_tensor(a, dtype=torch.float32)",
    "torch.as_tensor([1, 2])",
    "torch.as_tensor(3)",
    "torch.as_tensor(np.float32(3))",
    "torch.as_tensor(g)",
    "torch.as_tensor(g, dtype=torch.float64)",
    "torch.as_tensor('a')",
    "torch.as_tensor(AI())",
    "torch.as_tensor(memoryview(b'ab'))",
    "torch.as_tensor(bytearray(b'ab'))",
    "torch.as_tensor([a, a])",
    "torch.as_tensor(None)",
    "torch.asarray(t) is t",
    "torch.asarray(t, copy=True) is t",
    "torch.asarray(t, copy=False) is t",
    "torch.asarray(t, dtype=torch.float64, copy=False)",
    "torch.asarray(a).data_ptr() == a.ctypes.data",
    "torch.asarray(a, copy=True).data_ptr() == a.ctypes.data",
    "torch.asarray([1, 2], copy=False)",
    "torch.asarray([1, 2])",
    "torch.asarray(g)",
    "torch.asarray(g, requires_grad=True)",
    "torch.asarray(g, requires_grad=True) is g",
    "torch.asarray(g).requires_grad",
    "torch.asarray(bytearray(b'abcd'), dtype=torch.uint8)",
    "torch.asarray(bytearray(b'abcd'))",
    "torch.asarray(3.5)",
    "torch.asarray(np.float32(3))",
    "torch.asarray(b'abcdefgh', dtype=torch.float32)",
    "torch.asarray(a[::-1])",
    "torch.asarray([1], requires_grad=True)",
    "torch.asarray(array.array('f', [1, 2]), dtype=torch.float32)",
    "torch.from_numpy(a)",
    "torch.from_numpy(a[::-1])",
    "torch.from_numpy(3)",
    "torch.from_numpy([1])",
    "torch.from_numpy(np.array(['a']))",
    "torch.from_numpy(np.array([1], dtype='>i4'))",
    "torch.from_numpy(np.array([1], dtype='g'))",
    "torch.from_numpy(np.array(3.0))",
    "torch.from_numpy(np.zeros((2, 0)))",
    "torch.from_numpy(np.zeros((2, 3), order='F')).stride()",
    "torch.from_numpy(np.zeros((2, 3))[:, ::2]).stride()",
    "torch.from_numpy(np.zeros(2, dtype=[('a', 'f4'), ('b', 'i2')])['a'])",
    "torch.from_numpy(np.ones(2, dtype='u2'))",
    "torch.from_numpy(np.ones(2, dtype=bool))",
    "torch.from_numpy(np.broadcast_to(a, (2, 3))).stride()",
    "torch.from_numpy(np.float32(3))",
    "torch.from_numpy(a.astype('f2'))",
    "torch.from_numpy(np.array([None]))",
    "torch.frombuffer(bytearray(8), dtype=torch.int32)",
    "torch.frombuffer(bytearray(8), dtype=torch.int32, count=1)",
    "torch.frombuffer(bytearray(8), dtype=torch.int32, offset=4)",
    "torch.frombuffer(bytearray(8), dtype=torch.int32, offset=8)",
    "torch.frombuffer(bytearray(8), dtype=torch.int32, offset=2)",
    "torch.frombuffer(bytearray(9), dtype=torch.int32)",
    "torch.frombuffer(bytearray(0), dtype=torch.int32)",
    "torch.frombuffer(bytearray(8), dtype=torch.int32, count=3)",
    "torch.frombuffer(bytearray(8), dtype=torch.int32, count=0)",
    "torch.frombuffer(bytearray(8), dtype=torch.int32, count=-2)",
    "torch.frombuffer(bytearray(8), dtype=torch.int32, offset=-1)",
    "torch.frombuffer(bytearray(8), dtype=torch.int32, offset=20)",
    "torch.frombuffer(b'abcd', dtype=torch.uint8)",
    "torch.frombuffer(3, dtype=torch.uint8)",
    "torch.frombuffer(bytearray(8), dtype=torch.float32, requires_grad=True)",
    "torch.frombuffer(bytearray(8), dtype=torch.int32, requires_grad=True)",
    "torch.frombuffer(a, dtype=torch.float64)",
    "torch.frombuffer(a[::2], dtype=torch.float64)",
    "t.numpy().tolist()",
    "g.numpy()",
    "g.detach().numpy().tolist()",
    "t.numpy().ctypes.data == t.data_ptr()",
    "torch.ones(2, dtype=torch.bfloat16).numpy()",
    "torch.ones(2, device='meta').numpy()",
    "np.asarray(t).dtype",
    "np.asarray(g)",
    "np.array(t, dtype='f8').dtype",
    "np.asarray(t).ctypes.data == t.data_ptr()",
    "np.array(t).ctypes.data == t.data_ptr()",
    "np.asarray(t, dtype='i4').dtype",
    "np.array(t, copy=True).sum()",
    "np.add(a, t)",
    "type(np.add(a, t)).__name__",
    "type(t + a).__name__",
    "(t + a).dtype",
    "a == t",
    "np.exp(t)",
    "type(np.exp(t)).__name__",
    "np.stack([t, t]).shape",
    "np.matmul(np.ones((2, 3), dtype='f4'), t)",
    "t.numpy(force=True).tolist()",
    "g.numpy(force=True).tolist()",
    "np.array([t, t]).shape",
    "np.array([t[0], t[1]])",
    "t.__array__(np.float64).dtype",
    "np.float64(2) * t",
    "t * np.float64(2)",
    "t * np.float32(2)",
    "i * np.float64(2)",
    "np.float64(2) * i",
    "i * np.int64(2)",
    "t + np.ones(3)",
    "t == a",
    "t[np.array([0, 2])]",
    "t[np.int64(1)]",
    "torch.ones(np.int64(2))",
    "torch.ones((np.int64(2),))",
    "t.view(np.int64(3))",
    "t.sum(np.int64(0))",
    "t.conj().numpy()",
    "hasattr(t, '__array_interface__')",
    "memoryview(t)",
    "bytes(torch.ones(2, dtype=torch.uint8))",
    "float(t)",
    "float(t[0])",
    "int(t[1])",
    "bool(t)",
    "bool(torch.ones(0))",
    "complex(t[1])",
    "int(torch.tensor(1j))",
    "float(torch.tensor(1j))",
    "range(i[2])",
    "[1, 2, 3][i[1]]",
    "[1, 2, 3][t[1]]",
    "hex(i[2])",
    "i[1].__index__()",
    "torch.tensor(True).__index__()",
    "torch.tensor([1]).__index__()",
    "torch.tensor([1, 2]).__index__()",
    "t.__index__()",
    "round(t[1].item())",
    "t.item()",
    "torch.ones(0).item()",
    "torch.ones(1, device='meta').item()",
    "t.tolist()",
    "torch.ones(2, device='meta').tolist()",
    "len(t)",
    "len(t[0])",
    "list(t[0])",
    "torch.ones(2, 0).tolist()",
    "torch.ones(0, 2).tolist()",
    "torch.tensor(3).tolist()",
    "format(t[1], '.2f')",
    "f'{t[1]:.3f}'",
    "f'{t:.3f}'",
    "f'{i[1]:d}'",
    "f'{t}'",
    "2 in t",
    "torch.tensor(1.0) in t",
    "'a' in t",
    "t in t",
    "1 in torch.ones(0)",
    "hash(t) == id(t)",
    "{t: 1}[t]",
    "t.__contains__([1])",
]

#: old constructors, types, settings and name spaces
SURFACE = [
    "torch.Tensor()",
    "torch.Tensor(2, 3).shape",
    "torch.Tensor([1, 2])",
    "torch.Tensor((1, 2))",
    "torch.Tensor(t)",
    "torch.Tensor(t) is t",
    "torch.Tensor(t).data_ptr() == t.data_ptr()",
    "torch.Tensor(i)",
    "torch.Tensor(3).shape",
    "torch.Tensor(3.0)",
    "torch.Tensor('a')",
    "torch.Tensor(None)",
    "torch.Tensor([[1, 2], [3, 4]])",
    "torch.Tensor(np.ones(2))",
    "torch.Tensor(np.ones(2, dtype='i4'))",
    "torch.Tensor(torch.Size([2, 3])).shape",
    "torch.Tensor([True])",
    "torch.Tensor(-1)",
    "torch.Tensor([1, [2]])",
    "torch.Tensor(2, 3, device='cpu').shape",
    "torch.Tensor([1], device='meta')",
    "torch.Tensor(device='cpu')",
    "torch.Tensor(2, 'a')",
    "torch.Tensor(data=[1, 2])",
    "torch.Tensor(np.int64(3)).shape",
    "torch.Tensor(range(3))",
    "torch.Tensor([t[0], t[1]])",
    "torch.Tensor([t, t])",
    "torch.FloatTensor([1, 2])",
    "torch.LongTensor([1, 2])",
    "torch.LongTensor([1.5, 2])",
    "torch.LongTensor(i)",
    "torch.LongTensor(2).shape",
    "torch.ByteTensor([1, 2])",
    "torch.BoolTensor([1, 0])",
    "torch.DoubleTensor([1, 2])",
    "torch.HalfTensor([1, 2])",
    "torch.BFloat16Tensor([1, 2])",
    "torch.IntTensor([1])",
    "torch.ShortTensor([1])",
    "torch.CharTensor([1])",
    "torch.FloatTensor()",
    "torch.FloatTensor",
    "torch.FloatTensor.dtype",
    "isinstance(t, torch.FloatTensor)",
    "isinstance(i, torch.FloatTensor)",
    "isinstance(i, torch.LongTensor)",
    "isinstance(3, torch.LongTensor)",
    "t.type(torch.LongTensor)",
    "t.type('torch.LongTensor')",
    "t.type(torch.FloatTensor) is t",
    "t.type()",
    "t.type('foo')",
    "t.type(3)",
    "torch.FloatTensor(device='meta')",
    "torch.cuda.FloatTensor",
    "torch.LongTensor(torch.Size([2])).shape",
    "torch.LongTensor(np.array([1, 2]))",
    "torch.LongTensor(np.array([1.0, 2]))",
    "torch.LongTensor('a')",
    "torch.get_default_dtype()",
    "torch.set_default_tensor_type(torch.DoubleTensor)",
    "torch.tensor(1.0)",
    "torch.set_default_tensor_type('torch.FloatTensor')",
    "torch.tensor(1.0)",
    "torch.set_default_tensor_type(3)",
    "torch.set_default_dtype(torch.int32)",
    "t.new()",
    "t.new(2, 3).shape",
    "t.new([1, 2])",
    "i.new([1, 2])",
    "t.new(t)",
    "t.new_tensor([1, 2])",
    "t.new_tensor(i)",
    "t.new_tensor([1, 2], dtype=torch.int32)",
    "i.new_tensor([1.5])",
    "t.new_tensor(3)",
    "t.new_tensor([1.0], requires_grad=True).requires_grad",
    "t.new_empty(2).shape",
    "t.new_zeros((2,))",
    "t.new_ones(2, dtype=torch.int64)",
    "t.new_full((2,), 3)",
    "t.new_empty((2, 3)).shape",
    "t.new_empty(2, 3).shape",
    "t.new_empty_strided((2,), (1,)).shape",
    "t.new_full((2,), 3.5)",
    "i.new_full((2,), 3.5)",
    "i.new_full((2,), 3)",
    "M([1, 2])",
    "type(M([1, 2])).__name__",
    "type(M(t)).__name__",
    "M(t).data_ptr() == t.data_ptr()",
    "M(2, 3).shape",
    "type(M([1.0]) + 1).__name__",
    "type(torch.Tensor._make_subclass(M, t)).__name__",
    "t.as_subclass(M)",
    "repr(t.as_subclass(M))",
    "torch.typename(t)",
    "torch.typename(3)",
    "torch.typename(torch.FloatTensor)",
    "torch.typename(t.untyped_storage())",
    "torch.typename('a')",
    "torch.is_tensor(t)",
    "torch.is_storage(t)",
    "torch.is_floating_point(t)",
    "torch.is_complex(t)",
    "torch.is_nonzero(torch.tensor(1))",
    "torch.is_conj(t)",
    "torch.is_neg(t)",
    "torch.is_inference(t)",
    "torch.is_same_size(t, t)",
    "torch.is_signed(t)",
    "torch.is_warn_always_enabled()",
    "torch.is_deterministic_algorithms_warn_only_enabled()",
    "torch.are_deterministic_algorithms_enabled()",
    "torch.use_deterministic_algorithms(True)",
    "torch.are_deterministic_algorithms_enabled()",
    "torch.use_deterministic_algorithms(False)",
    "torch.get_deterministic_debug_mode()",
    "torch.set_deterministic_debug_mode('warn')",
    "torch.get_deterministic_debug_mode()",
    "torch.set_deterministic_debug_mode(0)",
    "torch.set_deterministic_debug_mode('x')",
    "torch.set_deterministic_debug_mode(5)",
    "torch.get_float32_matmul_precision()",
    "torch.set_float32_matmul_precision('high')",
    "torch.get_float32_matmul_precision()",
    "torch.set_float32_matmul_precision('highest')",
    "torch.set_float32_matmul_precision('x')",
    "torch.set_warn_always(False)",
    "torch.get_num_interop_threads() > 0",
    "torch.set_flush_denormal(False)",
    "torch.get_default_device()",
    "torch.compiled_with_cxx11_abi()",
    "torch.version.cuda",
    "torch.version.hip",
    "torch.version.git_version is not None",
    "torch.cuda.is_available()",
    "torch.cuda.device_count()",
    "torch.cuda.current_device()",
    "torch.cuda.get_device_name()",
    "torch.cuda.manual_seed(1)",
    "torch.cuda.manual_seed_all(1)",
    "torch.cuda.empty_cache()",
    "torch.cuda.synchronize()",
    "torch.cuda.memory_allocated()",
    "torch.cuda.max_memory_allocated()",
    "torch.cuda.is_initialized()",
    "torch.cuda.get_device_capability()",
    "torch.cuda.Event()",
    "torch.cuda.Stream()",
    "torch.cuda.is_bf16_supported()",
    "torch.backends.cudnn.enabled",
    "torch.backends.cudnn.benchmark",
    "torch.backends.cudnn.deterministic",
    "torch.backends.cudnn.is_available()",
    "torch.backends.cudnn.version()",
    "torch.backends.cuda.matmul.allow_tf32",
    "torch.backends.mps.is_available()",
    "torch.backends.mps.is_built()",
    "torch.backends.mkldnn.is_available() in (True, False)",
    "torch.backends.mkl.is_available() in (True, False)",
    "torch.backends.openmp.is_available()",
    "torch.backends.cpu.get_cpu_capability() is not None",
    "torch.backends.cuda.is_built()",
    "torch.mps.is_available() if hasattr(torch.mps, 'is_available') else 0",
    "torch.xpu.is_available()",
    "torch.accelerator.is_available()",
    "torch.cpu.is_available()",
    "torch.cpu.device_count()",
    "torch.zeros(2, device='cuda')",
    "torch.zeros(2).cuda()",
    "torch.zeros(2).to('cuda')",
    "torch.zeros(2, device='cuda:0')",
    "torch.zeros(2).to('mps')",
    "torch.nn.Linear(1, 1).cuda()",
    "torch.device('cuda')",
    "torch.device('foo')",
    "torch.device('cpu', 0)",
    "torch.device('cuda:1').index",
    "torch.device(0) if 0 else 0",
    "torch.device('cpu:1')",
    "torch.device('cuda', -1)",
    "torch.device('cuda:-1')",
    "torch.device('cuda:a')",
    "torch.device(type='cpu')",
    "torch.device('cpu') == torch.device('cpu', 0)",
    "torch.device('cpu') == 'cpu'",
    "hash(torch.device('cpu')) == hash(torch.device('cpu'))",
    "repr(torch.device('mps'))",
    "repr(torch.device('xpu:0'))",
]

#: DLPack in both directions
DLPACK = [
    "torch.from_dlpack(a)",
    "torch.from_dlpack(a).data_ptr() == a.ctypes.data",
    "torch.from_dlpack(a[:, ::2])",
    "torch.from_dlpack(ro)",
    "np.from_dlpack(t).tolist()",
    "np.from_dlpack(t).ctypes.data == t.data_ptr()",
    "np.from_dlpack(t.t()).strides",
    "np.from_dlpack(g)",
    "torch.from_dlpack(t).data_ptr() == t.data_ptr()",
    "torch.from_dlpack(t) is t",
    "torch.from_dlpack(3)",
    "type(t.__dlpack__()).__name__",
    "g.__dlpack__()",
    "torch.ones(2, device='meta').__dlpack_device__()",
    "torch.ones(2, device='meta').__dlpack__()",
    "torch.from_dlpack(np.array([True, False]))",
    "torch.from_dlpack(np.array([1j]))",
    "torch.from_dlpack(np.array([1], dtype='f2'))",
    "torch.from_dlpack(np.array([1], dtype='u4'))",
    "torch.from_dlpack(torch.ones(2, dtype=torch.bfloat16))",
    "torch.from_dlpack(torch.ones(2, dtype=torch.bool))",
    "torch.from_dlpack(np.array(3.0))",
    "torch.from_dlpack(np.zeros((0, 3)))",
    "torch.from_dlpack(np.array(['a']))",
    "torch.from_dlpack(a, copy=True).data_ptr() == a.ctypes.data",
    "torch.from_dlpack(a, copy=False).data_ptr() == a.ctypes.data",
    "torch.from_dlpack(a, device='cpu')",
    "str(t.__dlpack__(max_version=(1, 0)))[:40]",
    "str(t.__dlpack__())[:30]",
    "t.__dlpack__(stream=3)",
    "t.__dlpack__(copy=True) is not None",
    "torch.utils.dlpack.from_dlpack(a)",
    "torch.utils.dlpack.to_dlpack(t) is not None",
    "g.detach().__dlpack__() is not None",
    "t.__dlpack__(stream=-1) is not None",
    "t.__dlpack__(stream=None) is not None",
    "t.__dlpack__(stream=1) is not None",
    "np.asarray(torch.from_dlpack(a)[0]).tolist()",
]

#: torch.testing
TESTING = [
    "C(t([1.0, 2]), t([1.0, 2]))",
    "C(t([1.0, 2]), t([1.0, 2.1]))",
    "C(t([1.0, 2]), t([1.0, 2, 3]))",
    "C(t([1.0, 2]), t([1, 2]))",
    "C(t([1.0, 2]), t([1, 2]), check_dtype=False)",
    "C(1.0, 1.0)",
    "C(1.0, 1.1)",
    "C(1, 1.0)",
    "C(1, 2)",
    "C(t([nan]), t([nan]))",
    "C(t([nan]), t([nan]), equal_nan=True)",
    "C([1.0, 2.0], [1.0, 2.0])",
    "C([1.0, 2.0], [1.0, 3.0])",
    "C([1.0, 2.0], [1.0])",
    "C({'a': 1}, {'a': 2})",
    "C({'a': 1}, {'b': 1})",
    "C('a', 'b')",
    "C(None, None)",
    "C(None, 1)",
    "C(t([1.0, 2]), t([1.0, 2.1]), rtol=0.1, atol=0)",
    "C(t([1.0, 2]), t([1.0, 2.1]), rtol=0.1)",
    "C(t([1.0, 2]), t([1.0, 2.1]), msg='boo')",
    "C(t([1.0, 2]), t([1.0, 2.1]), msg=lambda m: 'X ' + m)",
    "C(t([1, 2]), t([1, 3]))",
    "C(t([True]), t([False]))",
    "C(t(1.0), t(1.1))",
    "C(t([[1.0, 2], [3, 4]]), t([[1.0, 2], [3, 5]]))",
    "C(t([1.0, 2, 3, 4]), t([2.0, 3, 4, 5]))",
    "C(t([1.0], dtype=torch.float64), t([1.00001], dtype=torch.float64))",
    "C(t([1.0], dtype=torch.float16), t([1.01], dtype=torch.float16))",
    "C(t([1 + 1j]), t([1 + 2j]))",
    "C(np.array([1.0]), np.array([2.0]))",
    "C(torch.ones(2, 3), torch.ones(3, 2).t())",
    "C(torch.ones(2, 3), torch.ones(3, 2).t(), check_stride=True)",
    "C(torch.ones(2, device='meta'), torch.ones(2, device='meta'))",
    "C(torch.ones(2), torch.ones(2, device='meta'))",
    "C(t([1.0]), t([1.0]), rtol=1.0)",
    "C(True, False)",
    "C(True, True)",
    "C(1 + 1j, 1 + 2j)",
    "C([t([1.0]), t([2.0])], [t([1.0]), t([3.0])])",
    "C({'x': [1, t([2.0])]}, {'x': [1, t([3.0])]})",
    "C((1, 2), [1, 2])",
    "C(t([]), t([]))",
    "C(t([float('inf')]), t([float('inf')]))",
    "C(t([float('inf')]), t([1.0]))",
    "C(torch.nn.Parameter(torch.ones(2)), torch.ones(2))",
    "C(t([1e-09]), t([0.0]))",
    "C(t([255], dtype=torch.uint8), t([0], dtype=torch.uint8))",
    "M((3,), dtype=torch.float32, device='cpu')",
    "M(3, dtype=torch.float32, device='cpu')",
    "M(2, 3, dtype=torch.float64, device='cpu', low=0, high=1)",
    "M((3,), dtype=torch.int64, device='cpu')",
    "M((3,), dtype=torch.uint8, device='cpu')",
    "M((3,), dtype=torch.bool, device='cpu')",
    "M((3,), dtype=torch.complex64, device='cpu')",
    "M((3,), dtype=torch.float32, device='cpu', requires_grad=True)",
    "M((2, 3), dtype=torch.float32, device='cpu', noncontiguous=True)",
    "M((3,), dtype=torch.float32, device='cpu', exclude_zero=True)",
    "M((2, 3, 4, 5), dtype=torch.float32, device='cpu', memory_format=torch.channels_last)",
    "M((3,), dtype=torch.int64, device='cpu', low=5, high=5)",
    "M((3,), dtype=torch.float32, device='cpu', low=2, high=1)",
    "M((3,), dtype=torch.int64, device='cpu', requires_grad=True)",
    "M((3,), dtype=torch.float16, device='cpu')",
    "M((3,), dtype=torch.int8, device='cpu', low=-3, high=3)",
    "M((), dtype=torch.float32, device='cpu')",
    "M(dtype=torch.float32, device='cpu')",
    "M((0, 3), dtype=torch.float32, device='cpu')",
    "M((3,), dtype=torch.float32, device='cpu', low=float('nan'))",
    "M((2, 2), dtype=torch.float32, device='cpu', noncontiguous=True, memory_format=torch.channels_last)",
    "torch.testing.assert_allclose(t([1.0]), t([1.0]))",
]


class Sequence:
    """Two numbers by place."""

    def __len__(self):
        return 2

    def __getitem__(self, place):
        if place >= 2:
            raise IndexError
        return place + 1.5


class Interface:
    """An array by NumPy's interface."""

    def __init__(self):
        self.kept = np.arange(3.0)

    @property
    def __array_interface__(self):
        return self.kept.__array_interface__


class Convertible:
    """An array on request."""

    def __array__(self, dtype=None, copy=None):
        return np.arange(3)


class Real:
    """A number by `float`."""

    def __float__(self):
        return 2.5


class Index:
    """A number by `int`."""

    def __index__(self):
        return 3


def scope(torch) -> dict:
    """The names that the expressions use."""
    locked = np.arange(3.0)
    locked.flags.writeable = False
    return {
        "torch": torch, "np": np, "array": array, "Seq": Sequence, "AI": Interface, "AA": Convertible, "FL": Real, "IX": Index,
        "t": torch.arange(3.0), "i": torch.arange(3), "g": torch.ones(2, requires_grad=True), "a": np.arange(3.0),
        "ro": locked, "M": type("M", (torch.Tensor,), {}), "nan": float("nan"),
    }  # fmt: skip


def described(x, torch):
    """A result in terms that both libraries share."""
    if isinstance(x, torch.Tensor):
        if x.device.type == "meta":
            return "meta", str(x.dtype), tuple(x.shape)
        values = str(x.tolist()) if x.numel() < 8 else ""
        return "tensor", type(x).__name__, str(x.dtype), tuple(x.shape), x.stride(), values, x.requires_grad
    if isinstance(x, (tuple, list)):
        return [described(e, torch) for e in x]
    return str(x).replace("flambeau", "torch")


def outcome(text: str, torch, names: dict):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return described(eval(text, names), torch)
        except Exception as error:
            kind = "RuntimeError" if isinstance(error, RuntimeError) else type(error).__name__
            return kind, (str(error).splitlines() or [""])[0]


def check(texts: list[str], oracle, **more) -> None:
    scopes = [(torch, scope(torch) | {k: f(torch) for k, f in more.items()}) for torch in (flambeau, oracle)]
    different = []
    for text in texts:
        ours, theirs = (outcome(text, torch, names) for torch, names in scopes)
        if ours != theirs:
            different.append(f"{text}\n    {ours}\n    {theirs}")
    assert not different, "\n".join(different)


def test_exchange(oracle):
    check(EXCHANGE, oracle)


def test_surface(oracle):
    check(SURFACE, oracle)


def test_dlpack(oracle):
    grid = {"a": lambda torch: np.arange(6.0).reshape(2, 3), "t": lambda torch: torch.arange(6.0).view(2, 3)}
    check(DLPACK, oracle, **grid)


def test_testing(oracle):
    names = {"C": lambda torch: torch.testing.assert_close, "M": lambda torch: torch.testing.make_tensor,
             "t": lambda torch: torch.tensor}  # fmt: skip
    for torch in (flambeau, oracle):
        torch.manual_seed(3)
    check(TESTING, oracle, **names)


KINDS = "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64 complex128".split()
VALUES = (
    "1j float('nan') float('inf') 1e30 -1 -300 70000 2**31 2**32 2**63 -2**63 2**64 1e300 [1,[2]] 'a' None 1e5 True [1,2.5]"
).split()


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_every_type(oracle, kind):
    check([f"torch.tensor({value}, dtype=torch.{kind})" for value in VALUES], oracle)
