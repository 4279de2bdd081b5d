"""What is fetched from an identity provider: again when it is old, and good for a while where that fails."""

import asyncio
import json
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

import httpx2

from mlrepro.errors import IdentityUnavailableError

FRESH: Final = 300.0
"""Seconds after which it is fetched again."""

STALE: Final = 3600.0
"""Seconds after which it does not count any more, where it could not be fetched again."""

PAUSE: Final = 10.0
"""Seconds between two attempts, whoever asks for them."""

_TIMEOUT: Final = 5.0
_LARGEST: Final = 1 << 20

_logger = logging.getLogger("mlrepro")

T = TypeVar("T")


class Remembered(Generic[T]):
    """Something of a provider, fetched when it is asked for.

    Args:
        what: What it is, as errors and the log name it.
        fetch: Fetches it. What it raises of `IdentityUnavailableError` is a failed attempt.
    """

    def __init__(self, what: str, fetch: Callable[[], Awaitable[T]]) -> None:
        self._what = what
        self._fetch = fetch
        self._value: T | None = None
        self._fetched = -math.inf
        self._tried = -math.inf
        self._failure: str | None = None
        self._attempt: asyncio.Task[None] | None = None

    async def get(self, *, again: bool = False) -> T:
        """It, as it is known.

        Args:
            again: Something is missing in it: fetch it again, unless that was tried just now.

        Raises:
            IdentityUnavailableError: It can't be fetched, and is not known, or too old.
        """
        age = time.monotonic() - self._fetched
        old, unknown = age >= FRESH, self._value is None or age >= STALE
        if (old or again) and time.monotonic() - self._tried >= PAUSE:
            self._begin()
        # while the provider is away, the attempts go on beside what is known, and nobody waits for them
        waits = unknown or again or (old and self._failure is None)
        if waits and self._running():
            assert self._attempt is not None
            await asyncio.shield(self._attempt)
        if self._value is None or time.monotonic() - self._fetched >= STALE:
            raise IdentityUnavailableError(f"{self._what} can't be fetched: {self._failure}")
        return self._value

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failure is not None

    def _running(self) -> bool:
        attempt = self._attempt
        return attempt is not None and not attempt.done() and attempt.get_loop() is asyncio.get_running_loop()

    def _begin(self) -> None:
        if not self._running():
            self._tried = time.monotonic()
            self._attempt = asyncio.create_task(self._try())

    async def _try(self) -> None:
        try:
            self._value = await self._fetch()
        except IdentityUnavailableError as error:
            self._failure = str(error)
            left = (STALE - (time.monotonic() - self._fetched)) / 60
            known = f"; what was known before counts for {left:.0f} more minutes" if left > 0 else ""
            _logger.warning(f"{self._what} can't be fetched: {error}{known}")
        else:
            self._fetched, self._failure = time.monotonic(), None


async def fetch_json(url: str) -> dict[str, Any]:
    """A JSON object from a provider. No redirect is followed.

    Raises:
        IdentityUnavailableError: It does not answer in time, or with something else.
    """
    try:
        async with (
            asyncio.timeout(2 * _TIMEOUT),
            httpx2.AsyncClient(timeout=_TIMEOUT) as client,
            client.stream("GET", url, headers={"Accept": "application/json"}) as response,
        ):
            if response.status_code != 200:
                raise IdentityUnavailableError(f"{url} answers {response.status_code}")
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _LARGEST:
                    raise IdentityUnavailableError(f"{url} answers more than {_LARGEST} bytes")
        found = json.loads(body)
    except (httpx2.HTTPError, TimeoutError, OSError) as error:
        raise IdentityUnavailableError(f"{url} does not answer: {error or type(error).__name__}") from error
    except (ValueError, RecursionError) as error:
        raise IdentityUnavailableError(f"{url} answers no JSON") from error
    if not isinstance(found, dict):
        raise IdentityUnavailableError(f"{url} answers no JSON object")
    return found
