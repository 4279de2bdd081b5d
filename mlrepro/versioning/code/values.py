"""Plain values: told apart by type and content, whatever their identity, hash seed or machine."""

import collections
import struct
import types
from typing import TYPE_CHECKING, Any

from mlrepro.versioning.code.graph import Node

if TYPE_CHECKING:
    from mlrepro.versioning.code.walker import Walker

_SINGLE: dict[Any, bytes] = {
    type(None): b"N",
    type(Ellipsis): b"E",
    type(NotImplemented): b"I",
}


def atom(value: Any, kind: type) -> bytes | None:
    """The bytes of a value that holds no other, or ``None``."""
    if kind is str:
        return b"s" + value.encode("utf-8", "surrogatepass")  # type: ignore[no-any-return]
    if kind is int:
        return b"i%x" % value if value >= 0 else b"i-%x" % -value
    if kind is bool:
        return b"T" if value else b"F"
    if kind is float:
        return b"fnan" if value != value else b"f" + struct.pack(">d", value)
    if kind is bytes:
        return b"y" + value  # type: ignore[no-any-return]
    if kind is complex:
        real, imaginary = atom(value.real, float), atom(value.imag, float)
        assert real is not None
        assert imaginary is not None
        return b"c" + real + b"," + imaginary
    return _SINGLE.get(kind)


def expand_container(walker: "Walker", node: Node, value: Any, kind: type) -> bool:
    """Fill a node from a built-in container; ``False`` for anything else."""
    if kind is list or kind is tuple:
        node.parts.append(b"list" if kind is list else b"tuple")
        _items(walker, node, value)
    elif kind is dict or kind is collections.OrderedDict or kind is types.MappingProxyType:
        node.parts.append(kind.__name__.encode())
        pairs(walker, node, value)
    elif kind is set or kind is frozenset:
        node.unordered = True
        node.parts.append(kind.__name__.encode())
        _items(walker, node, value)
    elif kind is collections.deque:
        node.parts.append(f"deque {value.maxlen}".encode())
        _items(walker, node, value)
    elif kind is collections.defaultdict:
        node.parts += [b"defaultdict", walker.part(node, value.default_factory)]
        pairs(walker, node, value)
    elif kind is collections.Counter:
        node.parts.append(b"Counter")
        pairs(walker, node, value)
    elif kind is bytearray:
        node.parts += [b"bytearray", bytes(value)]
    elif kind is memoryview:
        node.parts += [b"memoryview", value.format.encode(), repr(value.shape).encode(), value.tobytes()]
    elif kind is range:
        node.parts.append(f"range {value.start} {value.stop} {value.step}".encode())
    elif kind is slice:
        node.parts.append(b"slice")
        _items(walker, node, (value.start, value.stop, value.step))
    elif kind is types.CellType:
        node.parts.append(b"cell")
        try:
            node.parts.append(walker.part(node, value.cell_contents))
        except ValueError:
            node.parts.append(b"empty")
    elif kind is types.SimpleNamespace:
        node.parts.append(b"namespace")
        pairs(walker, node, vars(value))
    elif kind in (type({}.keys()), type({}.values()), type({}.items())):
        node.parts.append(kind.__name__.encode())
        _items(walker, node, list(value))
    else:
        return False
    return True


def _items(walker: "Walker", node: Node, items: Any) -> None:
    part = walker.part
    node.parts.extend([part(node, item) for item in list(items)])


def pairs(walker: "Walker", node: Node, mapping: Any) -> None:
    """Add a mapping's items in their order, which a program can see."""
    part = walker.part
    for key, item in list(mapping.items()):
        node.parts.append(part(node, key))
        node.parts.append(part(node, item))
