"""Names that definitions and ``tenants.yaml`` have in common, as Kubernetes allows them."""

import re
from typing import Final

_IMAGE: Final = re.compile(
    r"[a-z0-9][a-z0-9.-]*(:\d{1,5}(?=/))?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_QUALIFIED: Final = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def check_image(name: str) -> str:
    """A container image with a tag or a digest.

    Raises:
        ValueError: It is none, or would be another one tomorrow.

    Example:
        >>> check_image("registry.example.com/team/project:1.4")
        'registry.example.com/team/project:1.4'
    """
    if not isinstance(name, str) or not _IMAGE.fullmatch(name):
        raise ValueError(f"{name!r} is no image: write it like registry.example.com/team/project:1.4")
    if image_repository(name) == name:
        raise ValueError(f"{name!r} says neither tag nor digest, so it can change unseen: add one, as in {name}:1.4")
    return name


def image_repository(name: str) -> str:
    """An image's registry and path, without tag and digest.

    Example:
        >>> image_repository("localhost:5000/team/project:1.4")
        'localhost:5000/team/project'
    """
    path = name.partition("@")[0]
    folder, slash, last = path.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"


def check_qualified(name: str) -> str:
    """The key of a label or annotation: ``prefix/name``, the prefix is optional.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(name, str) or not _QUALIFIED.fullmatch(name):
        raise ValueError(f"{name!r} is no key of a label or annotation: write name, or domain/name")
    return name


def check_label_value(value: str) -> str:
    """The value of a label, which may be empty.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
        raise ValueError(f"{value!r} is no label's value: write a text of up to 63 letters, digits, '-', '_' and '.'")
    return value
