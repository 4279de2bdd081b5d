"""Pydantic's errors in the words of those who write ``tenants.yaml``."""

import difflib
from collections.abc import Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel

from mlrepro.tenancy.members import Role
from mlrepro.tenancy.model import Tenants, Visibility

_EXPECTED: Final = {
    "string_type": "expected text; put it in quotes if it is",
    "int_type": "expected a whole number",
    "list_type": "expected a list: each item on a line of its own, after '- '",
    "dict_type": "expected fields below it, indented",
    "model_type": "expected fields below it, indented",
    "bool_type": "expected true or false",
}


def worded(error: Mapping[str, Any]) -> str:
    """What one of pydantic's errors means, and what to do."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(error["loc"])
    if kind == "missing":
        return "is missing: it has no default"
    if kind == "is_instance_of" and error["loc"][-1] in {"role", "visibility"}:
        known = Role if error["loc"][-1] == "role" else Visibility
        one = "role" if known is Role else "visibility"
        return f"unknown {one} {error['input']!r}: it is one of {', '.join(known)}"
    if kind == "literal_error":
        return f"{error['input']!r} is not known: it is {context['expected']}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "too_short":
        return "is empty: give at least one"
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind]}, not {_shown(error['input'])}"
    return f"{_shown(error['input'])}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unknown(path: tuple[str | int, ...]) -> str:
    known = sorted(_fields(path[:-1]))
    near = difflib.get_close_matches(str(path[-1]), known, n=1)
    if near:
        return f"unknown field; did you mean {near[0]}?"
    return f"unknown field; known are {', '.join(known)}"


def _fields(path: tuple[str | int, ...]) -> set[str]:
    """The fields that belong at a place."""
    here: Any = Tenants
    for part in path:
        field = here.model_fields.get(str(part)) if isinstance(here, type) and issubclass(here, BaseModel) else None
        here = _inner(field.annotation if field is not None else here)
    return set(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else set()


def _inner(annotation: Any) -> Any:
    """What a list or mapping holds, or the annotation itself where an index or key was already taken."""
    models = [arg for arg in get_args(annotation) if isinstance(arg, type) and issubclass(arg, BaseModel)]
    return models[0] if models else annotation
