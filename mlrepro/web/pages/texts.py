"""Times, durations, markdown and code for people. What users wrote is text, whatever it looks like."""

import datetime as dt
import functools
from typing import Final

from markdown_it import MarkdownIt
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers.python import PythonLexer

_UNITS: Final = ((365 * 86400, "year"), (30 * 86400, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))
_LONGEST_MARKDOWN: Final = 100_000
_LONGEST_CODE: Final = 200_000


def moment(when: object) -> dt.datetime | None:
    """Read a time; None for none, and for what is no time: somebody edited a record."""
    try:
        found = dt.datetime.fromisoformat(when) if isinstance(when, str) else when
        if not isinstance(found, dt.datetime):
            return None
        return found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        return None


def ago(when: object, now: dt.datetime | None = None) -> str:
    """Say how long ago something was.

    Example:
        >>> ago("2026-11-02T10:00:00+00:00", dt.datetime(2026, 11, 4, 12, tzinfo=dt.UTC))
        '2 days ago'
    """
    found = moment(when)
    if found is None:
        return "-"
    seconds = ((now or dt.datetime.now(dt.UTC)) - found).total_seconds()
    for length, unit in _UNITS:
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now" if seconds > -60 else f"{found:%Y-%m-%d %H:%M} UTC"


def long_duration(seconds: float) -> str:
    """Say a duration in one number.

    Example:
        >>> long_duration(4.2), long_duration(300), long_duration(9000), long_duration(900_000)
        ('4.2 s', '5.0 min', '2.5 h', '10.4 days')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 100 * 3600 else f"{seconds / 86400:.1f} days"


def cut(text: str, longest: int = 300) -> str:
    """Cut what is longer than anybody reads.

    Example:
        >>> cut("abcdef", 4)
        'abc…'
    """
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def markdown(text: str) -> Markup:
    """Render markdown. HTML in it is shown as text, and pictures as their words: they would be loaded from elsewhere.

    Example:
        >>> str(markdown("**fine** <b>bold</b>")).strip()
        '<p><strong>fine</strong> &lt;b&gt;bold&lt;/b&gt;</p>'
    """
    return Markup(_markdown().render(cut(text, _LONGEST_MARKDOWN)))  # noqa: S704 -- it has escaped what is HTML


def highlighted(code: str) -> Markup:
    """Colour Python code by classes of the style sheet.

    Example:
        >>> "&lt;" in highlighted("1 < 2")
        True
    """
    return Markup(highlight(cut(code, _LONGEST_CODE), PythonLexer(), HtmlFormatter(nowrap=True)))  # noqa: S704


@functools.cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "html_block", "html_inline"])
