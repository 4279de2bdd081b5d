"""Values as text, the same each time."""

import json
from collections.abc import Iterable
from typing import Any, Final

import yaml

from mlrepro.tenancy.plain_text import reads_as_text

HEADER: Final = "# Rendered by `mlrepro tenants render` from tenants.yaml: change that file, not this one.\n"

_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Plain(_Base):  # type: ignore[misc]
    """Writes what occurs twice out twice, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: Any, text: str) -> Any:
    style = "|" if "\n" in text else None if reads_as_text(text) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Plain.add_representer(str, _text)


def as_yaml(value: Any) -> str:
    """One YAML document, without our header."""
    return str(yaml.dump(value, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True))


def yaml_file(*documents: Any, about: Iterable[str] = ()) -> str:
    """A YAML file: our header, what it is for, and its documents."""
    told = "".join(f"# {line}\n" for line in about)
    return HEADER + told + "---\n".join(as_yaml(document) for document in documents)


def json_file(value: Any) -> str:
    """A JSON file."""
    return json.dumps(value, indent=2) + "\n"
