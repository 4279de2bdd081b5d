"""Putting garbage collection off while many objects are made at once."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Put collection off.

    Syntax trees live for moments only, and collecting meanwhile makes them live on. A plan of a thousand steps makes
    objects by the hundred thousand, and looking through them for garbage, again and again, takes a quarter of its time.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
