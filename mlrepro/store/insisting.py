"""Asking a bucket again where obstore gives up at once.

Obstore repeats what a server refuses for the moment, and what can be repeated without a trace. It does not where an
answer breaks off, nor where a put-if-absent or a part of an upload got no answer: there it cannot know what was done.
"""

import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import obstore
from obstore.exceptions import BaseError, GenericError

_PAUSES: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0)

_REPEATED: Final = re.compile(r"after (\d+) retries, max_retries: (\d+)")
_PASSING: Final = re.compile(r"HTTP error: |status code: (?:5\d\d|408|409|429)")
_NO_CREDENTIALS: Final = "169.254.169.254"
"""Where obstore asks for them as its last resort; nobody answers outside a cloud."""

_T = TypeVar("_T")


def insist(ask: Callable[[], _T], *, seconds: float) -> _T:
    """Ask until there is an answer, with growing pauses.

    Args:
        ask: Asks once. What it does has to be the same however often it is done, or to show that it was done.
        seconds: For how long it is asked again. One that takes longer by itself is not.

    Returns:
        The answer.

    Raises:
        BaseError: What obstore raises: it was refused, or failed too often.
        FileNotFoundError: There is no such object.
    """
    began = time.monotonic()
    for pause in _PAUSES:
        try:
            return ask()
        except BaseError as error:
            if time.monotonic() - began > seconds or not _may_pass(error):
                raise
        except FileNotFoundError as error:
            # The parts of an upload are gone once it is complete: so for one whose answer was lost.
            if "NoSuchUpload" not in str(error):
                raise
        time.sleep(random.uniform(0.5, 1) * pause)  # noqa: S311 - jitter, not a secret
    return ask()


def pages(client: Any, path: str | None, *, size: int, seconds: float) -> Iterator[Any]:
    """List objects, page by page. Where the listing breaks off, it goes on after the last object that was seen.

    Args:
        client: Obstore's store.
        path: The folder; None for all.
        size: Objects a page.
        seconds: As for ``insist``, since the last page.
    """
    seen: str | None = None
    listing = iter(obstore.list(client, path, chunk_size=size))

    def next_page() -> Any:
        nonlocal listing
        try:
            return next(listing, None)
        except BaseError:
            listing = iter(obstore.list(client, path, offset=seen, chunk_size=size))
            raise

    while page := insist(next_page, seconds=seconds):
        seen = page[-1]["path"]
        yield page


def was_repeated(error: BaseException) -> bool:
    """Whether obstore sent a request more than once before this answer came."""
    return _REPEATED.search(str(error)) is not None


def _may_pass(error: BaseError) -> bool:
    """Whether it is the network or the server that failed, and obstore has not asked as often as it may."""
    text = str(error)
    repeated = _REPEATED.search(text)
    exhausted = repeated is not None and repeated.group(1) == repeated.group(2)
    passing = _PASSING.search(text) is not None and _NO_CREDENTIALS not in text
    return isinstance(error, GenericError) and passing and not exhausted
