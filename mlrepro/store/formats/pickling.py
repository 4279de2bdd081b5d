"""A pickler whose bytes follow from the value as far as Python lets them.

Plain ``pickle`` writes an object that it has met before as a reference, so its bytes tell whether two equal strings are
one object: they change when a value is reloaded. Here equal strings, bytes, tuples, frozensets and dtypes count as one
object wherever they come from, sets are written in a fixed order, arrays without their strides and padding, and the
fields of dataclasses by name.
"""

import copyreg
import dataclasses
import io
import pickle
import struct
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

from mlrepro.store.formats.format import NotThisFormatError
from mlrepro.store.formats.npy import canonical

PROTOCOL: Final = 5
"""The pickle protocol; every supported Python reads it."""

_IMMUTABLE: Final = frozenset({str, bytes, tuple, frozenset})
_SORTABLE: Final = frozenset({str, bytes, int})
# The pickler in C cannot be told how to treat strings, tuples and sets.
_PicklerInPython: Any = pickle._Pickler


class _Raw:
    """Memory that is written like a bytearray, without a copy of it."""

    __slots__ = ("view",)

    def __init__(self, view: memoryview) -> None:
        self.view = view


class CanonicalPickler(_PicklerInPython):  # type: ignore[misc]
    """Writes one pickle.

    Args:
        file: What gets the bytes; only its ``write`` is used.

    Attributes:
        references: Every global that was written, as ``module:qualname``, but builtins.
    """

    def __init__(self, file: Any) -> None:
        super().__init__(file, PROTOCOL)
        self.references: set[str] = set()
        self._first_equal: dict[Any, Any] = {}
        # The memo knows objects by their addresses, so what is made on the way must live as long as the pickler.
        self._kept: list[Any] = []

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        """Write one object, or a reference to the equal one that was written before."""
        kind = type(obj)
        if kind in _IMMUTABLE or kind.__module__ == "numpy.dtypes":
            obj = self._one_of_equals(obj)
        super().save(obj, save_persistent_id)

    def _one_of_equals(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is tuple:
            return self._first_equal.setdefault((tuple, tuple(map(self._identity, obj))), obj)
        if kind is frozenset:
            return self._first_equal.setdefault((frozenset, frozenset(map(self._identity, obj))), obj)
        if kind in _IMMUTABLE:
            return self._first_equal.setdefault((kind, obj), obj)
        # A reloaded array has a dtype object of its own. Equality leaves out metadata.
        return obj if obj.metadata else self._first_equal.setdefault(("dtype", obj, obj.isalignedstruct), obj)

    def _identity(self, obj: Any) -> Any:
        """What two objects have in common exactly if they may be written as one."""
        kind = type(obj)
        if kind in _IMMUTABLE or kind.__module__ == "numpy.dtypes":
            return id(self._one_of_equals(obj))
        if kind is float:
            return (float, struct.pack("<d", obj))
        if kind in {int, bool, type(None)}:
            return (kind, obj)
        return ("object", id(obj))

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write a class or function by its name, and note it."""
        if _is_from_numpy(obj):
            module, qualname = "torch", "from_numpy"
            self.save(module)
            self.save(qualname)
            self.write(pickle.STACK_GLOBAL)
            self.memoize(obj)
        else:
            super().save_global(obj, name)
            qualname = name or getattr(obj, "__qualname__", None) or obj.__name__
            module = pickle.whichmodule(obj, qualname)  # type: ignore[attr-defined]
        if module != "builtins":
            self.references.add(f"{module}:{qualname}")

    def _save_function(self, obj: Any) -> None:
        self.save_global(obj)

    def _save_set(self, obj: Any) -> None:
        members = _in_order(obj)
        self._kept.append(members)
        self.save_reduce(type(obj), (members,), obj=obj)

    def _save_raw(self, obj: _Raw) -> None:
        header = pickle.BYTEARRAY8 + struct.pack("<Q", len(obj.view))
        if len(obj.view) >= self.framer._FRAME_SIZE_TARGET:
            self._write_large_bytes(header, obj.view)
        else:
            self.write(header + obj.view)

    def _save_buffer(self, obj: pickle.PickleBuffer) -> None:
        with obj.raw() as view:
            if view.readonly:
                self.save(view.tobytes())
            else:
                self._save_raw(_Raw(memoryview(view.tobytes())))

    def reducer_override(self, obj: Any) -> Any:
        """How to take apart what carries more in its memory than its value."""
        kind = type(obj)
        if kind in self.dispatch:
            return NotImplemented
        if _is_from_numpy(obj):
            return "from_numpy"
        # A class may well have something else than a text there.
        library = kind.__module__.partition(".")[0] if isinstance(kind.__module__, str) else ""
        reducer = _REDUCERS.get((library, kind.__qualname__))
        if kind.__module__ == "numpy.dtypes":
            reducer = _dtype
        elif reducer is None and kind.__module__ == "numpy":
            reducer = _scalar
        elif reducer is None and (dataclasses.is_dataclass(kind) or hasattr(kind, "__pydantic_fields__")):
            reducer = _fields_by_name
        reduced = reducer(obj) if reducer is not None else NotImplemented
        self._kept.append(reduced)
        return reduced

    dispatch: Final = {
        **_PicklerInPython.dispatch,
        FunctionType: _save_function,
        set: _save_set,
        frozenset: _save_set,
        _Raw: _save_raw,
        pickle.PickleBuffer: _save_buffer,
    }


def _is_from_numpy(obj: Any) -> bool:
    """Whether it is torch's function, which does not know its module and would be found where torch hides it."""
    torch = sys.modules.get("torch")
    return torch is not None and obj is getattr(torch, "from_numpy", None)


def canonical_bytes(value: Any) -> bytes:
    """The canonical pickle of a value on its own."""
    file = io.BytesIO()
    CanonicalPickler(file).dump(value)
    return file.getvalue()


def _in_order(members: Any) -> list[Any]:
    """The members of a set in an order that no hash seed changes."""
    kinds = set(map(type, members))
    if len(kinds) == 1 and kinds <= _SORTABLE:
        return sorted(members)
    return sorted(members, key=canonical_bytes)


def _array(array: Any) -> Any:
    import numpy as np

    try:
        clean = canonical(array)
    except NotThisFormatError:
        return NotImplemented
    if clean.dtype.metadata or clean.dtype.kind in "mM":
        # These have no plain buffer; as integers they have.
        return NotImplemented if clean.dtype.metadata else (_method("view", clean.dtype), (clean.view("i8"),))
    order = "C" if clean.flags.c_contiguous else "F"
    raw = _Raw(memoryview(clean.ravel(order="K").view(np.uint8)) if clean.nbytes else memoryview(b""))
    return np.ndarray, (clean.shape, clean.dtype, raw, 0, None, order)


def _method(name: str, *arguments: Any) -> Any:
    import operator

    return operator.methodcaller(name, *arguments)


def _dtype(dtype: Any) -> Any:
    import numpy as np

    if dtype.metadata or dtype.names or dtype.hasobject or dtype.kind in "VT":
        return NotImplemented
    return np.dtype, (dtype.str,)


def _scalar(scalar: Any) -> Any:
    import numpy as np

    number = isinstance(scalar, np.bool_ | np.integer | np.float16 | np.float32 | np.float64)
    return (type(scalar), (scalar.item(),)) if number and not isinstance(scalar, np.timedelta64) else NotImplemented


def _frame(frame: Any) -> Any:
    # A deep copy gathers columns of one type in one block, however the frame came about.
    return (
        frame.copy(deep=True).__reduce_ex__(PROTOCOL)
        if type(frame).__module__.startswith("pandas.")
        else NotImplemented
    )


def _tensor(tensor: Any) -> Any:
    """A dense tensor by way of numpy: torch's own pickles hold memory addresses."""
    import torch

    if (
        type(tensor) is not torch.Tensor
        or tensor.layout is not torch.strided
        or tensor.is_quantized
        or not tensor.is_leaf
    ):
        return NotImplemented
    reduced: tuple[Any, ...]
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor.dtype in {torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2}:
        bits = torch.int16 if tensor.dtype is torch.bfloat16 else torch.uint8
        reduced = (_method("view", tensor.dtype), (plain.view(bits),))
    else:
        reduced = (torch.from_numpy, (plain.numpy(),))
    return (_method("requires_grad_"), (_Reduced(reduced),)) if tensor.requires_grad else reduced


class _Reduced:
    """Something that is nothing but how it is made."""

    def __init__(self, reduced: tuple[Any, ...]) -> None:
        self._reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self._reduced


def _fields_by_name(obj: Any) -> Any:
    """Fields in the order of their names, so that declaring them in another order is no other value."""
    if isinstance(obj, type):
        return NotImplemented
    reduced = obj.__reduce_ex__(PROTOCOL)
    if isinstance(reduced, str) or reduced[0] is not copyreg.__newobj__ or len(reduced) < 3:  # type: ignore[attr-defined]
        return reduced
    state = reduced[2]
    if type(state) is dict and all(type(key) is str for key in state):
        state = dict(sorted(state.items()))
        if type(state.get("__dict__")) is dict:
            state["__dict__"] = dict(sorted(state["__dict__"].items()))
    return (*reduced[:2], state, *reduced[3:])


_REDUCERS: Final[dict[tuple[str, str], Callable[[Any], Any]]] = {
    ("numpy", "ndarray"): _array,
    ("pandas", "DataFrame"): _frame,
    ("pandas", "Series"): _frame,
    ("torch", "Tensor"): _tensor,
}
