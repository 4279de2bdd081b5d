"""Objects: their class and their state."""

import concurrent.futures
import contextvars
import copyreg
import datetime as dt
import decimal
import enum
import fractions
import hashlib
import logging
import pathlib
import queue
import re
import sys
import threading
import types
import typing
import uuid
import weakref
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mlrepro.versioning.code import callables
from mlrepro.versioning.code.checkout import portable
from mlrepro.versioning.code.graph import Node
from mlrepro.versioning.code.origin import Kind, module_file
from mlrepro.versioning.code.syntax import read_expression

if TYPE_CHECKING:
    from mlrepro.versioning.code.walker import Walker

_PLAIN = (
    dt.date,
    dt.time,
    dt.timedelta,
    dt.tzinfo,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
)
_STATELESS: tuple[type, ...] = (
    logging.Logger,
    logging.Handler,
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Thread,
    threading.local,
    threading.Event,
    threading.Condition,
    threading.Semaphore,
    concurrent.futures.Executor,
    queue.SimpleQueue,
)
_PROTOCOL = (copyreg.__newobj__, copyreg.__newobj_ex__, copyreg._reconstructor)  # type: ignore[attr-defined]
_BUILTIN_BASES = (str, int, float, bytes, complex, list, tuple, dict, set, frozenset)


def expand_module(walker: "Walker", node: Node, module: ModuleType) -> None:
    """A module of the project used as a value: anything of it may be taken, so all of it counts."""
    node.parts.append(b"module")
    name = module.__name__
    compiled = compiled_file(name)
    if compiled:
        node.parts.append(file_digest(compiled))
        return
    for key in sorted(vars(module)):
        if key.startswith("__") and key.endswith("__") and key not in ("__all__", "__getattr__"):
            continue
        node.parts += [key.encode(), walker.part(node, vars(module)[key])]


def compiled_file(module: str) -> str:
    """The file of a module that is no Python source; empty for others."""
    file = module_file(module) if module in sys.modules else ""
    return file if file.endswith((".so", ".pyd", ".dylib", ".pyc")) else ""


def file_digest(file: str) -> bytes:
    """The hash of a compiled module's file."""
    try:
        return b"file " + hashlib.sha256(pathlib.Path(file).read_bytes()).digest()
    except OSError:
        return b"file unreadable"


def expand_instance(walker: "Walker", node: Node, value: Any, kind: type) -> None:
    """Fill a node from an object of any class."""
    parts, part = node.parts, walker.part
    if isinstance(value, enum.Enum) and isinstance(kind, enum.EnumMeta):
        parts += [b"enum member", part(node, kind), str(value.name).encode(), part(node, value.value)]
        return
    if kind in _PLAIN or isinstance(value, _PLAIN):
        parts += [b"plain", part(node, kind), repr(value).encode()]
        if not walker.origins.first_party(kind.__module__):
            return
    elif isinstance(value, pathlib.PurePath):
        parts += [b"path", portable(str(value)).encode("utf-8", "surrogatepass")]
        return
    elif isinstance(value, re.Pattern):
        parts += [b"pattern", part(node, value.pattern), b"%d" % value.flags]
        return
    elif isinstance(value, weakref.ref):
        parts += [b"weak reference", part(node, value())]
        return
    elif isinstance(value, contextvars.ContextVar):
        parts += [b"context variable", value.name.encode(), part(node, value.get(None))]
        return
    elif _is_hint(value, kind):
        _expand_hint(walker, node, value, kind)
        return
    elif isinstance(value, _STATELESS):
        parts += [b"stateless", f"{kind.__module__}.{kind.__qualname__}".encode()]
        if isinstance(value, logging.Logger):
            parts.append(b"logger")
        elif walker.origins.first_party(kind.__module__):
            parts.append(part(node, kind))
        return
    elif _expand_array(walker, node, value, kind):
        return
    home = getattr(value, "__module__", None)
    if callable(value) and isinstance(home, str) and walker.origins.first_party(home) and compiled_file(home):
        parts += [b"compiled", str(getattr(value, "__qualname__", "")).encode(), file_digest(compiled_file(home))]
        return
    if walker.origins.first_party(kind.__module__):
        _expand_own(walker, node, value, kind)
    else:
        _expand_foreign(walker, node, value, kind)


def _expand_own(walker: "Walker", node: Node, value: Any, kind: type) -> None:
    """An object of a class of the project: the class and all it holds."""
    parts, part = node.parts, walker.part
    parts += [b"object", part(node, kind)]
    for base in _BUILTIN_BASES:
        if isinstance(value, base):
            plain = _plain_part(value, base)
            parts.append(part(node, plain))
            break
    else:
        foreign = [
            base
            for base in kind.__mro__
            if base.__module__ not in ("builtins", "abc", "typing", "enum", "collections.abc", "types")
            and not walker.origins.first_party(base.__module__)
        ]
        if foreign and not isinstance(getattr(value, "__dict__", None), dict):
            _reduced(walker, node, value, kind)
            return
    _state(walker, node, value, kind)


def _plain_part(value: Any, base: type) -> Any:
    if base is dict:
        return dict(dict.items(value))
    if base is str:
        return str.__str__(value)
    if base in (list, tuple, set, frozenset):
        return base(base.__iter__(value))
    return base.__new__(base, value) if base is not complex else complex(value)


def _state(walker: "Walker", node: Node, value: Any, kind: type) -> None:
    """``__dict__`` and slots, without what properties have cached there."""
    parts, part = node.parts, walker.part
    namespace = getattr(value, "__dict__", None)
    if isinstance(namespace, dict):
        for name in sorted(namespace, key=str):
            if _cached_property(kind, name):
                continue
            parts += [str(name).encode(), part(node, namespace[name])]
    for name in copyreg._slotnames(kind):  # type: ignore[attr-defined]
        try:
            held = object.__getattribute__(value, name)
        except AttributeError:
            continue
        parts += [b"slot " + name.encode(), part(node, held)]


def _cached_property(kind: type, name: Any) -> bool:
    for base in kind.__mro__:
        if name in vars(base):
            return type(vars(base)[name]).__name__ == "cached_property"
    return False


def _expand_foreign(walker: "Walker", node: Node, value: Any, kind: type) -> None:
    """An object of a library: its class by version, its state by what it gives to copy and pickle."""
    node.parts += [b"object", walker.part(node, kind)]
    wrapped = callables.wrapped_by(value)
    for name, function in wrapped:
        node.parts += [name.encode(), walker.part(node, function)]
    if walker.origins.of(kind.__module__).kind is Kind.PLATFORM and _is_definition(kind):
        _platform_definition(walker, node, value)
        return
    try:
        _reduced(walker, node, value, kind)
    except Exception as error:
        if not wrapped:
            raise TypeError(str(error)) from error


def _is_definition(kind: type) -> bool:
    name = kind.__name__
    return (name.endswith(("Definition", "Definitions")) and "Partition" not in name) or name == "Definitions"


def _platform_definition(walker: "Walker", node: Node, value: Any) -> None:
    """An asset used by another's code: the function under it."""
    for path in (
        ("op", "compute_fn", "decorated_fn"),
        ("node_def", "compute_fn", "decorated_fn"),
        ("compute_fn", "decorated_fn"),
    ):
        found = value
        for name in path:
            try:
                found = getattr(found, name)
            except Exception:  # noqa: BLE001 -- properties of Dagster's objects raise errors of their own
                found = None
                break
        if isinstance(found, types.FunctionType):
            node.parts.append(walker.part(node, found))
            return


def _reduced(walker: "Walker", node: Node, value: Any, kind: type) -> None:
    parts, part = node.parts, walker.part
    if hasattr(value, "__next__") and not kind.__module__.startswith("numpy"):
        raise TypeError(f"a {kind.__name__} is used up by reading it")
    registered = copyreg.dispatch_table.get(kind)
    reduced: Any = registered(value) if registered is not None else value.__reduce_ex__(4)
    if isinstance(reduced, str):
        if not reduced.replace(".", "").isidentifier():  # a ufunc made from a function: no global of that name
            raise TypeError(f"no module holds {reduced}")
        parts += [b"named", reduced.encode()]
        return
    # the functions of the protocol itself say nothing, and would bind the value to a minor version of Python
    parts.append(b"new" if reduced[0] in _PROTOCOL else part(node, reduced[0]))
    parts.append(part(node, reduced[1]))
    state = reduced[2] if len(reduced) > 2 else None
    if isinstance(state, dict):
        for name in sorted(state, key=str):
            if not _cached_property(kind, name):
                parts += [str(name).encode(), part(node, state[name])]
    elif state is not None:
        parts.append(part(node, state))
    for items in reduced[3:5]:
        if items is not None:
            parts += [b"items", part(node, list(items))]


def opaque(walker: "Walker", node: Node, value: Any) -> None:
    """An object without stable state: its type, and the statement that makes it."""
    kind = type(value)
    node.parts += [b"opaque", f"{kind.__module__}.{kind.__qualname__}".encode()]
    where = node.where
    name = f"{where.module}:{where.name}" if where is not None else f"{kind.__module__}:{kind.__qualname__}"
    path, line = (where.path, where.line) if where is not None else ("", 0)
    what = f"the state of {name}, a {kind.__qualname__}, cannot be read"
    if where is not None and where.statement is not None:
        syntax = read_expression(where.statement.node, where.statement.offset)
        node.parts.append(syntax.form.encode("utf-8", "surrogatepass"))
        walker.references(node, syntax, where.scope, "", "")
        what += "; the statement that makes it counts instead"
    walker.report(node, "opaque object", what, name, path, line, followed=False)


def _is_hint(value: Any, kind: type) -> bool:
    return isinstance(value, (types.GenericAlias, types.UnionType)) or kind.__module__ in (
        "typing",
        "typing_extensions",
    )


def _expand_hint(walker: "Walker", node: Node, value: Any, kind: type) -> None:
    """Types and annotations: what they are made of, since libraries act on them."""
    node.parts += [b"hint", kind.__name__.encode()]
    if isinstance(value, typing.NewType):
        node.parts += [value.__name__.encode(), walker.part(node, value.__supertype__)]
        return
    if isinstance(value, typing.ForwardRef):
        node.parts.append(value.__forward_arg__.encode())
        return
    alias = getattr(value, "__value__", None)  # ``type X = ...``
    if alias is not None:
        node.parts.append(walker.part(node, alias))
        return
    origin = getattr(value, "__origin__", None)
    arguments = getattr(value, "__args__", None)
    if arguments is None:
        node.parts.append((getattr(value, "__name__", None) or repr(value)).encode())
        return
    node.parts += [walker.part(node, origin), walker.part(node, tuple(arguments))]
    metadata = getattr(value, "__metadata__", None)
    if metadata:
        node.parts.append(walker.part(node, metadata))


def _expand_array(walker: "Walker", node: Node, value: Any, kind: type) -> bool:
    """Arrays and tables, by type and content."""
    top = kind.__module__.partition(".")[0]
    if top == "numpy":
        return _expand_numpy(walker, node, value, kind)
    if top == "pyarrow":
        return _expand_arrow(walker, node, value, kind)
    if top == "torch" and "torch" in sys.modules:
        import torch

        if isinstance(value, torch.Tensor):
            plain = value.detach().cpu().contiguous()
            node.parts += [b"tensor", f"{plain.dtype} {tuple(plain.shape)} {value.requires_grad}".encode()]
            flat = plain.reshape(-1)
            node.parts.append(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
            return True
    return False


def _expand_numpy(walker: "Walker", node: Node, value: Any, kind: type) -> bool:
    import numpy as np

    if isinstance(value, np.ndarray) and kind in (np.ndarray, np.memmap):
        node.parts += [b"array", repr(value.dtype.descr if value.dtype.names else value.dtype.str).encode()]
        node.parts.append(repr(value.shape).encode())
        if value.dtype.hasobject:
            node.parts.append(walker.part(node, value.ravel().tolist()))
        else:
            node.parts.append(hashlib.sha256(np.ascontiguousarray(value).tobytes()).digest())
        return True
    if isinstance(value, np.generic) and not value.dtype.hasobject:
        node.parts += [b"scalar", value.dtype.str.encode(), value.tobytes()]
        return True
    if isinstance(value, np.dtype):
        node.parts += [b"dtype", repr(value).encode()]
        return True
    return False


def _expand_arrow(walker: "Walker", node: Node, value: Any, kind: type) -> bool:
    import pyarrow as pa

    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        value = pa.table({"": value})
    if isinstance(value, (pa.Table, pa.RecordBatch)):
        sink = pa.BufferOutputStream()
        table = pa.table(value) if isinstance(value, pa.RecordBatch) else value
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        node.parts += [b"arrow", kind.__name__.encode(), hashlib.sha256(sink.getvalue()).digest()]
        del walker
        return True
    return False
