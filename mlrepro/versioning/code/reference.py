"""Names under which objects are recorded and found again."""

import importlib
from typing import Any

from mlrepro.errors import FingerprintError


def reference(target: object) -> str:
    """The ``"module:qualname"`` of a function, class or other object that has a name.

    Args:
        target: The object; for an instance, its class is named.

    Example:
        >>> from fractions import Fraction
        >>> reference(Fraction)
        'fractions:Fraction'
    """
    named: Any = target
    if not isinstance(getattr(named, "__qualname__", None), str):
        named = type(target)
    module = getattr(named, "__module__", None)
    return f"{module if isinstance(module, str) else 'builtins'}:{named.__qualname__}"


def resolve_reference(text: str) -> object:
    """Import what a reference names.

    Args:
        text: ``"module:qualname"``.

    Raises:
        FingerprintError: There is no such module, or nothing of that name in it.

    Example:
        >>> resolve_reference("fractions:Fraction").__name__
        'Fraction'
    """
    module_name, colon, qualname = text.partition(":")
    if not colon or not module_name or not qualname:
        raise FingerprintError(f"{text!r} is not a reference: write it as 'module:qualname'")
    try:
        found: object = importlib.import_module(module_name)
    except ImportError as error:
        raise FingerprintError(
            f"{text!r} names the module {module_name!r}, which cannot be imported: {error}"
        ) from error
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise FingerprintError(
                f"{text!r} names {part!r}, which {reference(found) if part != qualname else module_name} does not have"
                " (anything defined inside a function cannot be found by name)"
            ) from None
    return found
