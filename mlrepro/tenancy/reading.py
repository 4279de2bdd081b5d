"""Reading ``tenants.yaml``: the model, or all that is wrong with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from mlrepro.errors import TenantsError
from mlrepro.tenancy import checking
from mlrepro.tenancy.instance import Instance
from mlrepro.tenancy.lines import Document, parse
from mlrepro.tenancy.model import Tenants
from mlrepro.tenancy.problem import Problem
from mlrepro.tenancy.tenant import Tenant
from mlrepro.tenancy.wording import worded

# stand for what is missing or malformed, and offend no rule
_ANY_QUOTA: Final = {"cpu": "1E", "memory": "1E", "pods": 1_000_000}
_ANY_LOCATIONS: Final = [{"name": "any", "module": "any"}]

Model = TypeVar("Model", bound=BaseModel)


def load_tenants(file: str | Path) -> Tenants:
    """Read a file that must be right.

    Args:
        file: Path of ``tenants.yaml``.

    Raises:
        TenantsError: It can't be read, or something is wrong: one line for each thing.
    """
    tenants, problems = read_tenants(text_of(file))
    if tenants is None or problems:
        raise TenantsError("\n".join(problem.told(str(file)) for problem in problems))
    return tenants


def text_of(file: str | Path) -> str:
    """The file's text.

    Raises:
        TenantsError: It can't be read.
    """
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        step = ". `mlrepro tenants --help` shows how to begin one" if isinstance(error, FileNotFoundError) else ""
        raise TenantsError(f"{file} can't be read: {reason}{step}") from error


def read_tenants(text: str) -> tuple[Tenants | None, list[Problem]]:
    """Read YAML, and find everything that is wrong with it.

    What concerns several tenants is checked among those that are well formed, so that one look tells all.

    Args:
        text: The YAML.

    Returns:
        The tenants, None if they are not well formed; and the problems in the order of the file. Only without
        problems the tenants may be used.

    Example:
        >>> read_tenants("tenants: {}")[1][0].message
        'is missing: it has no default'
    """
    try:
        document = parse(text)
    except yaml.YAMLError as error:
        return None, [_no_yaml(error)]
    problems = list(document.problems)
    tenants, found = _model(Tenants, document.data)
    problems += found
    raw = document.data if isinstance(document.data, Mapping) else {}
    problems += checking.check(
        instance=tenants.instance if tenants else _model(Instance, raw.get("instance"))[0],
        tenants=dict(tenants.tenants) if tenants else _well_formed(raw.get("tenants")),
        isolated=raw.get("visibility") == "isolated",
        claimed=_claimed(raw),
    )
    return tenants, sorted(_placed(problems, document), key=lambda problem: problem.line or 0)


def _model(model: type[Model], data: Any) -> tuple[Model | None, list[Problem]]:
    if data is None and model is Tenants:
        return None, [Problem("is empty: `mlrepro tenants --help` shows how to begin")]
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, [Problem(worded(found), _path(found["loc"])) for found in error.errors()]


def _path(place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    return tuple(part for part in place if part != "[key]")


def _well_formed(raw: Any) -> dict[str, Tenant]:
    """Of each tenant what is well formed, so that one mistake does not hide another."""
    return {str(name): _remains(data) for name, data in raw.items()} if isinstance(raw, Mapping) else {}


def _remains(data: Any) -> Tenant:
    given = {str(field): value for field, value in data.items()} if isinstance(data, Mapping) else {}
    _, problems = _model(Tenant, given)
    bad = {problem.path[0] for problem in problems}
    good = {field: value for field, value in given.items() if field not in bad}
    tenant, _ = _model(Tenant, {"quota": _ANY_QUOTA, "code_locations": _ANY_LOCATIONS, **good})
    assert tenant is not None, "what is left is well formed"
    return tenant if "code_locations" in good else tenant.model_copy(update={"code_locations": []})


def _claimed(raw: Mapping[str, Any]) -> set[str]:
    """Scopes that malformed tenants own: they do exist."""
    tenants = raw.get("tenants")
    found: set[str] = set()
    for name, data in tenants.items() if isinstance(tenants, Mapping) else ():
        store = data.get("store") if isinstance(data, Mapping) else None
        scope = store.get("scope") if isinstance(store, Mapping) else None
        found.add(str(scope or name))
    return found


def _placed(problems: list[Problem], document: Document) -> list[Problem]:
    return [
        problem if problem.line else Problem(problem.message, problem.path, document.line(problem.path))
        for problem in problems
    ]


def _no_yaml(error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or str(error)
    return Problem(f"is no YAML: {reason}", line=mark.line + 1 if mark else None)
