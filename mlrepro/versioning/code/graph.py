"""The graph of everything a definition reaches, and its digest.

A node's digest covers its own content and the digests of what it points to, never a name, a path or the order in
which modules were imported. Nodes that reach each other (mutual recursion, a class and its methods, a registry and
its functions) have no order among them, so such a group is hashed as it is met when entered at that node.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from mlrepro.versioning.code.lookup import Place
    from mlrepro.versioning.code.report import Report, Source

Part = Union[bytes, "Node"]


class Node:
    """One function, class, container or object.

    Attributes:
        target: The object itself; kept alive, since nodes are found by its identity.
        parts: Content and what it points to, in order.
        unordered: The parts after the first are a set.
        quiet: Its source is told by the class it belongs to.
        where: The module-level name that leads to it, for a message.
        looks: What it looks at in other code: see `introspection`.
    """

    __slots__ = (
        "digest",
        "distributions",
        "group",
        "looks",
        "low",
        "mode",
        "names",
        "number",
        "open",
        "parts",
        "quiet",
        "reach",
        "reports",
        "sources",
        "target",
        "unordered",
        "where",
    )  # fmt: skip

    def __init__(self, target: Any, mode: str = "") -> None:
        self.target = target
        self.mode = mode
        self.parts: list[Part] = []
        self.unordered = False
        self.quiet = False
        self.where: Place | None = None
        self.digest: bytes | None = None
        self.number = 0  # of Tarjan's algorithm; 0 is not visited
        self.low = 0
        self.open = False
        self.group: frozenset[Node] | None = None
        self.reach: frozenset[Node] = frozenset()
        self.sources: list[Source] = []
        self.reports: list[Report] = []
        self.distributions: dict[str, str] = {}
        self.names: set[str] = set()
        self.looks: set[str] = set()

    @property
    def tells(self) -> bool:
        """Whether the node has anything to say besides its digest."""
        return bool(self.sources or self.reports or self.distributions or self.names or self.looks)


def explore(root: Node, expand: Callable[[Node], None]) -> None:
    """Visit everything that ``root`` reaches and find the groups of nodes that reach each other.

    Tarjan's algorithm with a stack of its own, since chains of objects are deeper than Python's recursion limit.
    """
    if root.number:
        return
    counter = 0
    path: list[Node] = []
    work: list[tuple[Node, Iterator[Part]]] = []

    def visit(node: Node) -> None:
        nonlocal counter
        counter += 1
        node.number = node.low = counter
        node.open = True
        path.append(node)
        expand(node)
        work.append((node, iter(node.parts)))

    visit(root)
    while work:
        node, rest = work[-1]
        for part in rest:
            if part.__class__ is bytes:
                continue
            assert isinstance(part, Node)
            if not part.number:
                visit(part)
                break
            if part.open:
                node.low = min(node.low, part.number)
        else:
            work.pop()
            if work:
                above = work[-1][0]
                above.low = min(above.low, node.low)
            if node.low == node.number:
                _close(node, path)


def _close(node: Node, path: list[Node]) -> None:
    """Take a finished group off the path."""
    members: list[Node] = []
    while True:
        member = path.pop()
        member.open = False
        members.append(member)
        if member is node:
            break
    group = frozenset(members)
    reach: set[Node] = {member for member in members if member.tells}
    for member in members:
        member.group = group
        for part in member.parts:
            if isinstance(part, Node) and part not in group:
                reach |= part.reach
    shared = frozenset(reach)
    for member in members:
        member.reach = shared


def digest_of(node: Node) -> bytes:
    """The digest of an explored node."""
    stack = [node]
    while stack:
        current = stack[-1]
        if current.digest is not None:
            stack.pop()
            continue
        group = current.group
        assert group is not None
        missing = [
            part
            for member in group
            for part in member.parts
            if isinstance(part, Node) and part.digest is None and part not in group
        ]
        if missing:
            stack.extend(missing)
            continue
        current.digest = _entered_at(current, group)
        stack.pop()
    assert node.digest is not None
    return node.digest


def _entered_at(node: Node, group: frozenset[Node]) -> bytes:
    """Hash a group as it is met from one of its nodes."""
    numbers: dict[Node, int] = {node: 0}
    order = [node]
    chunks: list[bytes] = []
    position = 0
    while position < len(order):
        current = order[position]
        position += 1
        parts = current.parts
        if current.unordered:
            parts = [parts[0], *sorted(parts[1:], key=lambda part: _rank(part, group))]
        chunks.append(b"%d;" % len(parts))
        for part in parts:
            if part.__class__ is bytes:
                chunks.append(b"b%d:" % len(part))
                chunks.append(part)
                continue
            assert isinstance(part, Node)
            if part in group:
                number = numbers.get(part)
                if number is None:
                    number = numbers[part] = len(order)
                    order.append(part)
                chunks.append(b"i%d;" % number)
            else:
                assert part.digest is not None
                chunks.append(b"n" + part.digest)
    return hashlib.sha256(b"".join(chunks)).digest()


def _rank(part: Part, group: frozenset[Node]) -> bytes:
    """What orders the members of a set: their digest, or inside a group their own content."""
    if isinstance(part, bytes):
        return b"b" + part
    if part not in group:
        assert part.digest is not None
        return b"n" + part.digest
    own = b"\0".join(
        item if isinstance(item, bytes) else (item.digest or b"" if item not in group else b"i") for item in part.parts
    )
    return b"i" + hashlib.sha256(own).digest()
