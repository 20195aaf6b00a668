"""A GPU that is not there: tensors stay in this machine's memory, and what a GPU would refuse is refused.

Within `SimulatedGPU()` a tensor made on `cuda` or moved there counts as being there, and so does what is computed from
it. An operation on tensors of both sides fails, as PyTorch's do, and so does NumPy on a tensor there. `waits` counts
what the host has to wait for: values read, copies either way, sizes that follow from values.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
READ = {"_local_scalar_dense", "nonzero", "masked_select", "bincount", "_unique2", "unique_dim", "equal"}
"""Operations that give the host a value, or a tensor whose size follows from values."""


class SimulatedGPU(TorchFunctionMode):
    """While it is entered, `cuda` is a device."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self._there: dict[int, StorageWeakRef] = {}  # a weak reference keeps an address from being used again
        self._operations = _Operations(self)

    def __enter__(self) -> SimulatedGPU:
        self._operations.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._operations.__exit__(*error)

    def has(self, tensor: Any) -> bool:
        """Whether it is a tensor on the device."""
        return isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata in self._there

    def take(self, result: Any) -> Any:
        """Count all tensors of a result as being on the device."""
        for tensor in tensors(result):
            storage = tensor.untyped_storage()
            self._there[storage._cdata] = StorageWeakRef(storage)
        return result

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if func == torch.Tensor.device.__get__:  # type: ignore[attr-defined]
            return GPU if self.has(args[0]) else CPU
        if name in ("numpy", "__array__") and self.has(args[0]):
            raise TypeError("NumPy is given a tensor on the GPU")
        if name in ("cpu", "to"):
            return self._moved(name, *args, **kwargs)
        wanted = kwargs.get("device")
        if wanted is None:
            return func(*args, **kwargs)
        result = func(*args, **{**kwargs, "device": CPU})
        if torch.device(wanted).type != "cuda":
            return result
        if name in ("tensor", "as_tensor") and not self.has(args[0]):
            self.waits["copy to the device"] += 1
        return self.take(result)

    def _moved(self, name: str, tensor: torch.Tensor, *rest: Any, **kwargs: Any) -> torch.Tensor:
        given = [*rest, *kwargs.values()]
        devices = [a for a in given if isinstance(a, torch.device | str)] or [CPU if name == "cpu" else None]
        dtype = next((a for a in given if isinstance(a, torch.dtype)), tensor.dtype)
        there = self.has(tensor) if devices[0] is None else torch.device(devices[0]).type == "cuda"
        if there == self.has(tensor):
            return torch.Tensor.to(tensor, dtype, copy=kwargs.get("copy", False))
        self.waits[f"copy to the {'device' if there else 'host'}"] += 1
        moved = torch.Tensor.to(tensor, dtype, copy=True)
        self._there.pop(moved.untyped_storage()._cdata, None)
        return self.take(moved) if there else moved


class _Operations(TorchDispatchMode):
    """What lies below PyTorch's Python functions, gradients included."""

    def __init__(self, gpu: SimulatedGPU) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, gpu, name = kwargs or {}, self.gpu, func.overloadpacket.__name__
        given = tensors((args, kwargs))
        there = any(map(gpu.has, given))
        if there:
            here = [tuple(a.shape) for a in given if a.dim() and a.numel() and not gpu.has(a)]
            if here and name not in ("copy_", "_to_copy"):
                raise RuntimeError(f"{func}: tensors of shapes {here} are not on the GPU")
            if name in READ or ("index" in name and any(a.dtype == torch.bool for a in tensors(args[1:2]))):
                gpu.waits[name] += 1
        result = func(*args, **kwargs)
        return gpu.take(result) if there and name != "copy_" else result


def tensors(of: Any) -> list[torch.Tensor]:
    """All tensors in nested values."""
    return [leaf for leaf in tree_leaves(of) if isinstance(leaf, torch.Tensor)]
