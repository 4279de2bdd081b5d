"""Which definitions of a closure differ in what a fingerprint covers."""

import ast
import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlrepro.versioning.difference import Change, code_changes

_Sources = Sequence[Mapping[str, Any]]

_DECORATORS = frozenset(
    (
        "asset",
        "asset_check",
        "graph_asset",
        "graph_multi_asset",
        "io_manager",
        "ml_asset",
        "ml_multi_asset",
        "multi_asset",
        "multi_asset_check",
        "op",
        "resource",
    )
)
"""Decorators of Dagster's and our own, by the last part of their names: a source does not tell where a name is from."""


def counted_code_changes(before: _Sources, after: _Sources) -> list[Change]:
    r"""List the definitions whose code differs: edited ones, then new ones, then those that are gone.

    Comments, formatting, docstrings, type hints of functions and Dagster's decorators do not count, nor what a
    definition is called or where it lies.

    Args:
        before: Sources with ``name``, ``file``, ``line`` and ``text``.
        after: Likewise.

    Example:
        >>> def source(text):
        ...     return {"name": "m:f", "file": "m.py", "line": 1, "text": text}
        >>> counted_code_changes([source("def f(x): return x")], [source("def f(x):  # same\n  return x")])
        []
        >>> counted_code_changes([source("def f(x): return x")], [source("def f(x): return -x")])[0].name
        'm:f'
    """
    return _differing(before, after, _form)


def uncounted_code_changes(before: _Sources, after: _Sources) -> list[Change]:
    """List the definitions that differ in docstrings and type hints too, which count where code reads them."""
    return _differing(before, after, _form_with_hints)


def _differing(before: _Sources, after: _Sources, form: Callable[[str], str]) -> list[Change]:
    before_by_name, after_by_name = _by_name(before), _by_name(after)
    added = {name: source for name, source in after_by_name.items() if name not in before_by_name}
    for name in [name for name in before_by_name if name not in after_by_name]:
        moved_to = _moved_to(before_by_name[name], added, form)
        if moved_to is not None:
            before_by_name[moved_to] = {**before_by_name.pop(name), "name": moved_to}
            del added[moved_to]
    found = [
        change
        for change in code_changes(list(before_by_name.values()), list(after_by_name.values()))
        if change.before is None
        or change.after is None
        or form(before_by_name[change.name]["text"]) != form(after_by_name[change.name]["text"])
    ]
    return sorted(found, key=lambda change: (change.before is None, change.after is None))


def _by_name(sources: _Sources) -> dict[str, Mapping[str, Any]]:
    """Tell definitions of one name apart by their order: two lambdas of a module."""
    found: dict[str, Mapping[str, Any]] = {}
    seen: Counter[str] = Counter()
    for source in sources:
        seen[source["name"]] += 1
        count = seen[source["name"]]
        name = source["name"] if count == 1 else f"{source['name']}#{count}"
        found[name] = {**source, "name": name}
    return found


def _moved_to(
    source: Mapping[str, Any], added: Mapping[str, Mapping[str, Any]], form: Callable[[str], str]
) -> str | None:
    """Find a definition again that has another name now, or lies in another module."""
    same_text = [name for name, other in added.items() if form(source["text"]) == form(other["text"])]
    own = source["name"].partition(":")[2]
    same_name = [name for name in added if name.partition(":")[2] == own]
    for found in (same_text, same_name):
        if len(found) == 1:
            return found[0]
    return None


@functools.lru_cache(maxsize=4096)
def _form(text: str) -> str:
    return _normal(text, bare=True)


@functools.lru_cache(maxsize=4096)
def _form_with_hints(text: str) -> str:
    return _normal(text, bare=False)


def _normal(text: str, *, bare: bool) -> str:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # a lambda cut out of its line
        return text
    definition = tree.body[0] if tree.body else None
    if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        definition.name = ""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            node.decorator_list = _counted_decorators(node.decorator_list)
        if bare:
            _strip(node)
    return ast.dump(tree)


def _counted_decorators(decorators: list[ast.expr]) -> list[ast.expr]:
    """Leave out Dagster's decorators, and those above them."""
    ours = [index for index, each in enumerate(decorators) if _last_name(each) in _DECORATORS]
    return decorators[ours[-1] + 1 :] if ours else decorators


def _strip(node: ast.AST) -> None:
    """Leave out a function's hints and docstrings."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        node.returns = None
    elif isinstance(node, ast.arg):
        node.annotation = None
    body = getattr(node, "body", None)
    if isinstance(body, list):
        body[:] = [each for each in body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))]


def _last_name(decorator: ast.expr) -> str:
    named = decorator.func if isinstance(decorator, ast.Call) else decorator
    return named.attr if isinstance(named, ast.Attribute) else named.id if isinstance(named, ast.Name) else ""
