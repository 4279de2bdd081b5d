"""YAML with the lines on which things stand."""

from dataclasses import dataclass
from typing import Any

import yaml

from mlrepro.tenancy.problem import Problem

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A YAML document.

    Attributes:
        data: What it says.
        lines: The line of each place in it, counted from 1.
        problems: Keys that are there twice, or that are no text.
    """

    data: Any
    lines: dict[Path, int]
    problems: list[Problem]

    def line(self, path: Path) -> int | None:
        """The line of a place, or of what it is in where it is missing."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def parse(text: str) -> Document:
    """Read YAML.

    Raises:
        yaml.YAMLError: It is none.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        document = Document(None, {}, [])
        if node is not None:
            _walk(node, (), document, frozenset())
        data = None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()
    return Document(data, document.lines, document.problems)


def _walk(node: yaml.Node, path: Path, into: Document, above: frozenset[int]) -> None:
    into.lines.setdefault(path, node.start_mark.line + 1)
    if id(node) in above:
        raise yaml.YAMLError(f"line {node.start_mark.line + 1}: an alias contains itself")
    above |= {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), into, above)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                into.problems.append(
                    Problem(f"stands here twice, first on line {seen[name]}: keep one", (*path, name), line)
                )
                continue
            seen[name] = line
            into.lines[(*path, name)] = line
            _walk(value, (*path, name), into, above)
