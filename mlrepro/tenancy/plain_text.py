"""Text that YAML has without quotes: the same to everybody who reads it, or not."""

import re
from typing import Any, Final

import yaml

_RESOLVER: Final[Any] = yaml.resolver.Resolver()
_NUMBER_TO_GO: Final = re.compile(r"[-+]?((\.\d+|\d+(\.\d*)?)(e[-+]?\d+)?|0[box][\da-f]+)", re.ASCII | re.IGNORECASE)


def reads_as_text(text: str) -> bool:
    """Whether a text stays one without quotes: for PyYAML, and for Helm and kubectl, which are written in Go.

    Go finds more numbers, among them one of fifty short commit hashes.

    Example:
        >>> [reads_as_text(tag) for tag in ("v1", "1.20", "1234567e8", "0812", "y")]
        [True, False, False, False, False]
    """
    python = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) == _RESOLVER.DEFAULT_SCALAR_TAG
    number = not text.startswith("_") and _NUMBER_TO_GO.fullmatch(text.replace("_", ""))
    return python and not number and text.lower() not in {"y", "n"}
