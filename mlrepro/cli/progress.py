"""Telling on stderr how far a long command has come."""

import sys
import time
from types import TracebackType
from typing import Final, Self

import click

_FIRST: Final = 2.0
_TERMINAL: Final = 0.2
_LOG: Final = 10.0


class Progress:
    """One line that is written anew in a terminal from the third second on; elsewhere a line every ten seconds."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = time.monotonic() + (_FIRST if self._terminal else _LOG)
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            click.echo("\r\033[K", nl=False, err=True)

    def __call__(self, what: str, count: int) -> None:
        """Tell that so many are done of something."""
        now = time.monotonic()
        if now < self._next:
            return
        line = f"{count:,} {what}"
        if self._terminal:
            self._next, self._shown = now + _TERMINAL, True
            click.echo(f"\r\033[K{line}", nl=False, err=True)
        else:
            self._next = now + _LOG
            click.echo(line, err=True)
