"""What a long upload says of itself: a line to stderr now and then, which Dagster keeps in the step's compute log."""

import sys
import time
from collections.abc import Iterator
from typing import IO, Final

from mlrepro.store.objects import CHUNK

SAID_EVERY: Final = 10.0
"""Seconds; what takes less says nothing."""


def told(file: IO[bytes], size: int, where: str) -> Iterator[bytes]:
    """The file's bytes, piece by piece, in bounded memory.

    Args:
        file: Is read from its beginning.
        size: Its length in bytes.
        where: Where it goes, for the line.
    """
    file.seek(0)
    sent, said = 0, time.monotonic()
    while piece := file.read(CHUNK):
        yield piece
        sent += len(piece)
        if time.monotonic() - said >= SAID_EVERY:
            said = time.monotonic()
            line = f"mlrepro: {sent / 1e9:.1f} of {size / 1e9:.1f} GB uploaded to {where} ({100 * sent // size} %)"
            print(line, file=sys.stderr, flush=True)
