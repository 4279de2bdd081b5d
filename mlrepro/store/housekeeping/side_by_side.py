"""Doing many small things at a time, in bounded memory: most of each is waiting for the store."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

AT_ONCE: Final = 16
_AHEAD: Final = 64

BLOBS_AT_ONCE: Final = 8
"""How many blobs are read at a time: a large one needs some megabytes of memory."""

SMALL: Final = 1024 * 1024
"""Bytes up to which a blob is read in one go."""

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


def side_by_side(
    work: Callable[[_Item], _Done], items: Iterable[_Item], *, at_once: int = AT_ONCE
) -> Iterator[tuple[_Item, _Done]]:
    """Work on items in threads; each with its outcome, in order.

    What an item raises is raised here. What has not begun by then, or when the caller stops early, is left.

    Example:
        >>> list(side_by_side(str.upper, "ab"))
        [('a', 'A'), ('b', 'B')]
    """
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="mlrepro")
    waiting: deque[tuple[_Item, Future[_Done]]] = deque()
    source = iter(items)
    try:
        for item in itertools.islice(source, _AHEAD):
            waiting.append((item, pool.submit(work, item)))
        while waiting:
            item, future = waiting.popleft()
            done = future.result()
            waiting.extend((each, pool.submit(work, each)) for each in itertools.islice(source, 1))
            yield item, done
    finally:
        pool.shutdown(cancel_futures=True)
