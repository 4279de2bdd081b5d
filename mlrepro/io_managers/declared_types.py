"""The class behind a declared type, which says how a value loads."""

import types
import typing
from typing import Any


def plain_type(annotation: Any) -> type | None:
    """Find the class that an annotation means: ``Optional[DataFrame]`` is DataFrame, ``dict[str, int]`` is dict.

    Returns:
        The class, or None where there is none or more than one.

    Example:
        >>> plain_type(dict[str, int] | None)
        <class 'dict'>
    """
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        return plain_type(members[0]) if len(members) == 1 else None
    origin = typing.get_origin(annotation) or annotation
    return origin if isinstance(origin, type) and origin is not object and origin is not Any else None
