"""Numbers, sizes and durations in little space."""

from mlrepro.comparison.metrics import Number

MISSING = "-"


def number(value: Number | None) -> str:
    """Write a metric; ``-`` where it is not known.

    Example:
        >>> number(0.8123456789), number(12000000), number(None)
        ('0.812346', '12000000', '-')
    """
    if value is None:
        return MISSING
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def delta(value: Number | None, relative: float | None) -> str:
    """Write how far a metric is from the first version's, absolute and relative.

    Example:
        >>> delta(0.05, 0.0625), delta(0, 0.0), delta(-3, None), delta(None, None)
        ('+0.05 (+6.25%)', '=', '-3', '-')
    """
    if value is None:
        return MISSING
    if value == 0:
        return "="
    absolute = f"{value:+.4g}" if isinstance(value, float) else f"{value:+d}"
    return absolute if relative is None else f"{absolute} ({relative * 100:+.3g}%)"


def size(amount: int) -> str:
    """Write a number of bytes.

    Example:
        >>> size(12), size(1536)
        ('12 B', '1.5 kB')
    """
    shown = float(amount)
    for unit in ("B", "kB", "MB", "GB"):
        if shown < 1024 or unit == "GB":
            return f"{shown:.0f} {unit}" if unit == "B" else f"{shown:.1f} {unit}"
        shown /= 1024
    raise AssertionError("the last unit takes every amount")


def duration(seconds: float | None) -> str:
    """Write how long something took.

    Example:
        >>> duration(0.0123), duration(75), duration(7300), duration(None)
        ('0.01 s', '1 min 15 s', '2 h 1 min', '-')
    """
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def value(anything: object, longest: int = 40) -> str:
    """Write any value; ``-`` where there is none, and cut where it is long.

    Example:
        >>> value(None), value({"depth": 4}), value("abcdef", longest=5)
        ('-', "{'depth': 4}", 'ab...')
    """
    text = MISSING if anything is None else str(anything).replace("\n", " ") or '""'
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
