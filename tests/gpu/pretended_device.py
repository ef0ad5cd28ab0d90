"""A pretended CUDA device: tensors that say `cuda:0`, compute on the CPU and keep CUDA's rules.

Values are real, so whole runs go through, while what a GPU would refuse is refused: operands on two
devices, a generator of another device, numpy() of a tensor on the device, pinning one.

Inside torch the tensors belong to the backend that torch leaves open for others ("PrivateUse1"), as
that needs neither a driver nor compiled code; only Python sees them as `cuda:0`. Registering it
cannot be undone, and torch then takes it for the machine's accelerator. So this module is imported
in a process of its own, which `pretended_runs.py` is.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

aten = torch.ops.aten
CUDA = torch.device("cuda", 0)
BACKEND = "pretended"


class _BackendModule(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        """The device draws from the CPU's default generator, which has been seeded."""


_setup_privateuseone_for_python_backend(BACKEND, backend_module=_BackendModule())
INSIDE = torch.device(BACKEND, 0)
"""What the tensors' device is to torch's C++."""

# Autocast of the open backend has no operations; a network is made of these.
_AUTOCAST = torch.library.Library("aten", "IMPL")
_OTHERS = torch.library.Library("_", "IMPL")
_OTHERS.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")


def _in_low_precision(operation: Callable[..., Any]) -> Callable[..., Any]:
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def lowered(*operands: Any, **kwargs: Any) -> Any:
        kind = torch.get_autocast_dtype(BACKEND)
        with torch._C._ExcludeDispatchKeyGuard(keys):
            cast = [
                x.to(kind) if isinstance(x, Tensor) and x.dtype == torch.float32 else x
                for x in operands
            ]
            return operation(*cast, **kwargs)

    return lowered


for _name in ("conv2d", "linear", "matmul", "mm", "addmm", "bmm"):
    _AUTOCAST.impl(_name, _in_low_precision(getattr(aten, _name)), "AutocastPrivateUse1")


class PretendedTensor(Tensor):
    """A tensor on the pretended device; `inner` holds its values on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, requires_grad: bool = False) -> "PretendedTensor":
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=INSIDE,
            requires_grad=requires_grad,
        )
        made.inner = inner.detach()
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _execute(func, args, kwargs or {})

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner: Any, meta: Any, size: Any, stride: Any) -> "PretendedTensor":
        return PretendedTensor(inner["inner"])

    @property
    def device(self) -> torch.device:
        return CUDA

    @property
    def is_cuda(self) -> bool:
        return True

    def __repr__(self, **options: Any) -> str:
        return f"PretendedTensor({tuple(self.shape)}, {self.dtype})"

    def tolist(self) -> Any:
        return self.inner.tolist()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self.numpy()

    def pin_memory(self, device: Any = None) -> Any:
        raise RuntimeError("cannot pin a tensor of cuda:0: only dense CPU tensors can be pinned")


_RealGenerator = torch.Generator
_device_generators: list[torch.Generator] = []


class PretendedGenerator(_RealGenerator):  # type: ignore[misc,valid-type]
    """A generator of the pretended device, or a real one where another device is asked for."""

    def __new__(cls, device: Any = "cpu") -> Any:
        if torch.device(device).type != "cuda":
            return _RealGenerator(device)
        made = super().__new__(cls, "cpu")
        _device_generators.append(made)
        return made

    def __init__(self, device: Any = "cpu") -> None:
        pass

    @property
    def device(self) -> torch.device:
        return CUDA


def _on_device(generator: torch.Generator) -> bool:
    """Return whether it is the device's: torch gives operations another object, equal in state."""
    state = generator.get_state()
    return any(torch.equal(known.get_state(), state) for known in _device_generators)


_INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index")
_COPIES = ("copy_", "copy")
_TO_HOST = ("_local_scalar_dense", "equal", "is_nonzero")
_NO_SCALARS = ("cat", "mm", "bmm", "addmm", "gather", "scatter", "index_select", "embedding")
"""Operations that take no 0-dim CPU tensor beside tensors of the device, as others do."""


def _execute(func: Any, args: Any, kwargs: Any) -> Any:
    """Check an operation by CUDA's rules, then carry it out on the inner tensors.

    Raises:
        RuntimeError: if CUDA would refuse it.
    """
    name = func._schema.name.removeprefix("aten::")
    leaves = tree_leaves((args, kwargs))
    ours = any(isinstance(leaf, PretendedTensor) for leaf in leaves)
    asked = kwargs.get("device")
    asked = None if asked is None else torch.device(asked)
    here = asked is not None and asked.type in ("cuda", BACKEND)
    _check_generators(func, leaves, here or (ours and asked is None))
    if not ours and not here:
        return func(*args, **kwargs)
    if ours:
        _check_devices(func, name, args, leaves)
    if name in ("pin_memory", "_pin_memory"):
        raise RuntimeError("cannot pin a tensor of cuda:0: only dense CPU tensors can be pinned")
    inner_args, inner_kwargs = tree_map(_unwrap, (args, dict(kwargs)))
    if here:
        inner_kwargs["device"] = torch.device("cpu")
    out = _on_cpu(func, name, inner_args, inner_kwargs)
    if name == "_to_copy":
        # A copy must not share memory, which it does if nothing but the pretended device changes.
        out = out.clone() if out is inner_args[0] else out
        return out if asked is not None and not here else _wrap(out)
    if name in _TO_HOST:
        return out
    if name in _COPIES and not isinstance(args[0], PretendedTensor):
        return args[0]
    wrapped = tree_map(_wrap, out)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if ours else wrapped


def _check_generators(func: Any, leaves: list[Any], here: bool) -> None:
    for generator in leaves:
        if isinstance(generator, _RealGenerator) and _on_device(generator) != here:
            expected, found = ("cuda", "cpu") if here else ("cpu", "cuda")
            raise RuntimeError(
                f"Expected a '{expected}' device type for generator but found '{found}' in {func}"
            )


def _check_devices(func: Any, name: str, args: Any, leaves: list[Any]) -> None:
    host = [x for x in leaves if isinstance(x, Tensor) and not isinstance(x, PretendedTensor)]
    if not host or name in _COPIES:
        return
    if name in _INDEXING and isinstance(args[0], PretendedTensor):
        return  # an index, or a value of one element, may be on the host
    if any(x.dim() for x in host) or name in _NO_SCALARS:
        shapes = [tuple(x.shape) for x in host]
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found cuda:0 and cpu "
            f"{shapes} in {func}"
        )


def _unwrap(value: Any) -> Any:
    return value.inner if isinstance(value, PretendedTensor) else value


def _wrap(value: Any) -> Any:
    plain = isinstance(value, Tensor) and not isinstance(value, PretendedTensor)
    return PretendedTensor(value) if plain else value


def _on_cpu(func: Any, name: str, args: Any, kwargs: Any) -> Any:
    """Carry an operation out on CPU tensors; a few have another name on an open backend."""
    if name == "convolution_overrideable":
        return aten.convolution.default(*args)
    if name == "convolution_backward_overrideable":
        gradient, images, weight, *rest = args
        return aten.convolution_backward.default(gradient, images, weight, None, *rest)
    return func(*args, **kwargs)


class _Mode(TorchDispatchMode):
    """Sees the operations of no tensor of ours, such as `torch.zeros(3, device="cuda")`."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _execute(func, args, kwargs or {})


def _then_moved(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make a tensor from data on the CPU, then move it: torch makes it beneath every mode."""

    def made(data: Any, *, device: Any = None, **kwargs: Any) -> Tensor:
        if device is not None and torch.device(device).type == "cuda":
            return make(data, **kwargs).to(device)
        return make(data, device=device, **kwargs)

    return made


@contextlib.contextmanager
def pretended_cuda() -> Iterator[None]:
    """Within, `cuda` is there: one device, which computes on the CPU and keeps CUDA's rules."""
    save, load, autocast = torch.save, torch.load, torch.autocast

    def save_inner(content: Any, file: Any, **kwargs: Any) -> None:
        save(tree_map(_unwrap, content), file, **kwargs)

    def load_wrapped(file: Any, map_location: Any = None, **kwargs: Any) -> Any:
        content = load(file, map_location="cpu", **kwargs)
        here = map_location is not None and torch.device(map_location).type == "cuda"
        return tree_map(_wrap, content) if here else content

    def autocast_inside(kind: str, **kwargs: Any) -> torch.autocast:
        return autocast(BACKEND if kind == "cuda" else kind, **kwargs)

    swap = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    with contextlib.ExitStack() as stack:
        stack.callback(torch.__future__.set_swap_module_params_on_conversion, swap)
        for owner, name, value in (
            (torch.cuda, "_lazy_init", lambda: None),
            (torch.cuda, "is_available", lambda: True),
            (torch.cuda, "device_count", lambda: 1),
            (torch.cuda, "current_device", lambda: 0),
            (torch.cuda, "mem_get_info", lambda device=None: (80 << 30, 80 << 30)),
            (torch.cuda, "get_device_name", lambda device=None: "Pretended GPU"),
            (torch.cuda, "get_device_capability", lambda device=None: (9, 0)),
            (torch.cuda, "synchronize", lambda device=None: None),
            (Tensor, "pin_memory", lambda self, device=None: self),
            (torch, "Generator", PretendedGenerator),
            (torch, "tensor", _then_moved(torch.tensor)),
            (torch, "as_tensor", _then_moved(torch.as_tensor)),
            (torch, "save", save_inner),
            (torch, "load", load_wrapped),
            (torch, "autocast", autocast_inside),
        ):
            stack.enter_context(mock.patch.object(owner, name, value))
        stack.callback(_device_generators.clear)
        with _Mode():
            yield
