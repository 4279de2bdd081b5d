"""A comparison as one self-contained page."""

import functools
import os
import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from mlrepro.comparison import shown
from mlrepro.comparison.changing import SECTIONS, in_words, rows, sections
from mlrepro.comparison.comparison import Comparison
from mlrepro.comparison.facts import shown_time
from mlrepro.comparison.plot import plots
from mlrepro.comparison.table import fact_rows
from mlrepro.errors import StoreError
from mlrepro.versioning import Change

_SIDE_BY_SIDE = ("config", "inputs", "environment")
_IN_WORDS = ("code", "settings")
_LONGEST_WORD = 32
_PIECES = re.compile(rf"[^._]{{0,{_LONGEST_WORD}}}[._]+|[^._]{{1,{_LONGEST_WORD}}}", re.DOTALL)


def to_html(comparison: Comparison) -> str:
    """Write a comparison as one page: plots first, tables under them. It loads nothing from anywhere."""
    past = comparison.past()
    side_by_side = {title: rows(comparison.changes, SECTIONS[title]) for title in _SIDE_BY_SIDE}
    return _template().render(
        comparison=comparison,
        labels=[each.label for each in comparison.versions],
        facts=fact_rows(comparison),
        pasts=[(each, plots(each)) for each in past],
        side_by_side={title: table for title, table in side_by_side.items() if table},
        in_words=[
            (f"{title}: {comparison.versions[0].label} to {each.label}", found)
            for title in _IN_WORDS
            for each, changes in zip(comparison.versions[1:], comparison.changes, strict=True)
            if (found := sections(changes).get(title))
        ],
    )


def write_page(page: str, path: Path) -> Path:
    """Write a page to a file. One that is there is replaced as a whole.

    Raises:
        StoreError: If the file can't be written.
    """
    target = path.expanduser().resolve()
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if target.is_dir():
            raise IsADirectoryError("it is a folder")
        beside.write_text(page, encoding="utf-8")
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StoreError(f"{path} can't be written: {error.strerror or error}; name another file") from error
    return path


@functools.cache
def _template() -> jinja2.Template:
    environment = templates_of("mlrepro.comparison")
    environment.filters |= {
        "time": shown_time,
        "words": _words,
        "line_class": _line_class,
        "zipped": lambda metric: list(zip(metric.values, metric.deltas, metric.relative, strict=True)),
    }
    return environment.get_template("page.html")


def templates_of(package: str) -> jinja2.Environment:
    """The templates of a package: all that they are given is escaped, and numbers are shown alike on all pages."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "breakable": breakable,
        "number": shown.number,
        "value": lambda value: shown.value(value, longest=200),
    }
    environment.globals["delta"] = shown.delta
    return environment


def breakable(name: str) -> Markup:
    """Let a name be broken after a dot or an underscore; else only what is longer than any word.

    Example:
        >>> str(breakable("evaluation.mean_error"))
        'evaluation.<wbr>mean_<wbr>error'
    """
    return Markup("<wbr>").join(escape(piece) for piece in _PIECES.findall(name))


def _words(change: Change) -> list[tuple[str, bool]]:
    """Say a change, cut at the names that stand in backticks, and whether each piece is such a name."""
    return [(piece, place % 2 == 1) for place, piece in enumerate(in_words(change).split("`"))]


def _line_class(line: str) -> str:
    """Tell by its first character what a line of a diff is."""
    if line.startswith(("+++", "---", "@@")):
        return "where"
    return {"+": "added", "-": "removed"}.get(line[:1], "")
