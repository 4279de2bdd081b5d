"""Kubernetes' quantities: ``500m``, ``2``, ``8Gi``."""

import re
from decimal import Decimal
from typing import Final

_QUANTITY: Final = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?", re.ASCII)
_FACTORS: Final[dict[str | None, Decimal]] = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}


def amount(quantity: str) -> Decimal:
    """How much a quantity is, in cores, bytes or pieces.

    Raises:
        ValueError: It is none.

    Example:
        >>> amount("500m"), amount("8Gi")
        (Decimal('0.500'), Decimal('8589934592'))
    """
    match = _QUANTITY.fullmatch(quantity)
    if not match:
        raise ValueError(f"{quantity!r} is no quantity: write a number, with m, k, M, G, T, Ki, Mi, Gi or Ti behind it")
    return Decimal(match[1]) * _FACTORS[match[2]]


def check_quantity(value: object) -> str:
    """The quantity as Kubernetes writes it, from text or from a number.

    Raises:
        ValueError: It is none, or nothing at all is allowed by it.

    Example:
        >>> check_quantity(2), check_quantity("8Gi")
        ('2', '8Gi')
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is no quantity: write it like 500m, 2 or 8Gi")  # noqa: TRY004 -- pydantic's way
    quantity = str(value)
    if amount(quantity) <= 0:
        raise ValueError(f"{quantity!r} leaves nothing: give more than 0")
    return quantity


def check_memory(value: object) -> str:
    """A quantity of bytes, which has no thousandths.

    Raises:
        ValueError: It is none, or less than a mebibyte: a unit was forgotten.
    """
    quantity = check_quantity(value)
    if amount(quantity) < Decimal(1024) ** 2:
        raise ValueError(f"{quantity!r} is less than 1Mi: write the unit, as in {str(value).rstrip('m')}Gi")
    return quantity
