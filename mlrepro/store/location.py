"""From a store's URL to the objects behind it."""

import os
import re
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from obstore.store import AzureStore, GCSStore, MemoryStore, S3Store

from mlrepro.errors import StoreError
from mlrepro.store.credentials import take_credentials
from mlrepro.store.local import LocalObjects
from mlrepro.store.objects import Objects
from mlrepro.store.remote import Clients, ObstoreObjects

_PATIENCE: Final = {
    # a look-up that takes longer than computing a small step helps nobody: 20 seconds at the worst
    "look": ("10s", 3, 15.0),
    "write": ("30s", 30, None),
    # a part of 16 MiB on a slow line takes longer than obstore's default of 30 s
    "body": ("300s", 30, None),
}
"""Time that one request may take, how often it is tried again, and for how many seconds (None for _RETRY_TIMEOUT)."""

_BACKOFF: Final[dict[str, Any]] = {
    "init_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=5),
    "base": 2,
}
_CONNECT_TIMEOUT: Final = "5s"
_RETRY_TIMEOUT: Final = "60s"
_SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)\s*s?")
_BUCKETS: Final[dict[str, Callable[..., Any]]] = {
    "s3": S3Store,
    "s3a": S3Store,
    "gs": GCSStore,
    "az": AzureStore,
    "azure": AzureStore,
    "abfs": AzureStore,
    "abfss": AzureStore,
}
_KNOWN: Final = (
    "file:///folder, a plain path, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, memory://name"
)
_FIRST_PRINTABLE: Final = 32
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})

_memories: Final[dict[str, MemoryStore]] = {}
_memories_lock: Final = threading.Lock()


def open_objects(url: str, options: Mapping[str, str]) -> Objects:
    """Open the objects behind a URL; nothing is read or written yet.

    Args:
        url: ``file:///…``, a plain path, ``memory://name``, ``s3://bucket/prefix``, ``gs://…`` or ``az://…``.
        options: What overrides the environment. For a folder: ``durable`` (``"false"`` leaves out fsync). For a
            bucket: obstore's configuration keys (``endpoint``, ``region``, ``access_key_id``, …), ``timeout`` and
            ``connect_timeout`` of one request (``"30s"``), and ``retry_timeout`` (``"60s"``), for which what failed is
            tried again. For S3 also ``profile``, the name of an AWS profile, and
            ``credentials="boto3"``: wherever boto3 finds them.

    Returns:
        The objects. Two openings of one ``memory://name`` share theirs within the process.

    Raises:
        StoreError: The URL is of no known kind, has no bucket, or an option is unknown.
    """
    if not isinstance(url, str) or not url.strip():
        raise StoreError(f"{url!r} is not a store URL. Known: {_KNOWN}")
    if any(ord(letter) < _FIRST_PRINTABLE for letter in url):
        raise StoreError(f"The store URL {url!r} may not have control characters")
    scheme = url.split("://", 1)[0] if "://" in url else ""
    if not scheme:
        return _folder(Path(url), url, options)
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise StoreError(f"The store URL {url} may not have a query or fragment: pass options beside it")
    prefix = _prefix(url, parts.path)
    if scheme == "file":
        if parts.netloc not in {"", "localhost"} or not parts.path:
            raise StoreError(f"{url} names no folder: write file:///absolute/folder with three slashes")
        return _folder(Path(unquote(parts.path)), url, options)
    if scheme == "memory":
        _only(options, (), url)
        with _memories_lock:
            memory = _memories.setdefault(parts.netloc, MemoryStore())
        return ObstoreObjects(Clients.alike(memory), prefix, url=url)
    if scheme not in _BUCKETS:
        raise StoreError(f"{url} is of no known kind of store. Known: {_KNOWN}")
    if not parts.netloc:
        raise StoreError(f"{url} names no bucket: write {scheme}://bucket/prefix")
    place = f"{scheme}://{parts.netloc} {sorted(options.items())}"
    return ObstoreObjects(_bucket(scheme, parts.netloc, url, options), prefix, url=url, place=place)


def _folder(path: Path, url: str, options: Mapping[str, str]) -> LocalObjects:
    _only(options, ("durable",), url)
    root = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would follow links that may move later
    return LocalObjects(root, url=url, durable=_flag("durable", options.get("durable", "true")))


def _bucket(scheme: str, bucket: str, url: str, options: Mapping[str, str]) -> Clients:
    settings = dict(options)
    client: dict[str, Any] = {"connect_timeout": settings.pop("connect_timeout", _CONNECT_TIMEOUT)}
    timeout = settings.pop("timeout", None)
    retry_timeout = settings.pop("retry_timeout", _RETRY_TIMEOUT)
    if (seconds := _SECONDS.fullmatch(retry_timeout)) is None:
        raise StoreError(f"The store option retry_timeout={retry_timeout!r} must be seconds, such as '60s'")
    at_most = float(seconds.group(1))
    provider = None
    if scheme.startswith("s3"):
        provider = take_credentials(settings, os.environ, url)
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        settings.setdefault("region", region or (provider and provider.region) or "us-east-1")
        endpoint = (
            settings.get("endpoint")
            or os.environ.get("AWS_ENDPOINT_URL_S3")
            or os.environ.get("AWS_ENDPOINT_URL")
            or (provider and provider.endpoint)
        )
        if endpoint:
            settings["endpoint"] = endpoint
    if settings.get("endpoint", "").startswith("http://"):
        client["allow_http"] = True
    try:
        given = {"credential_provider": provider} if provider else {}
        clients = {
            use: _BUCKETS[scheme](
                bucket,
                config=settings,
                client_options={**client, "timeout": timeout or patience},
                retry_config={"max_retries": retries, "retry_timeout": _within(until, at_most), "backoff": _BACKOFF},
                **given,
            )
            for use, (patience, retries, until) in _PATIENCE.items()
        }
    except Exception as error:  # obstore raises several unrelated types for a configuration it cannot use
        reason = str(error).split("\n\nDebug source", maxsplit=1)[0]
        raise StoreError(f"Could not open the store {url}: {reason}") from error
    return Clients(**clients, patience=at_most)


def _within(seconds: float | None, at_most: float) -> timedelta:
    return timedelta(seconds=at_most if seconds is None else min(seconds, at_most))


def _prefix(url: str, path: str) -> str:
    segments = [segment for segment in path.split("/") if segment]
    if any(segment in {".", ".."} for segment in segments):
        raise StoreError(f"The store URL {url} may not have '.' or '..' in its path")
    return "/".join(segments)


def _only(options: Mapping[str, str], known: tuple[str, ...], url: str) -> None:
    unknown = sorted(set(options) - set(known))
    if unknown:
        takes = f"takes only {', '.join(known)}" if known else "takes no options"
        raise StoreError(f"Unknown option {', '.join(unknown)} for the store {url}, which {takes}")


def _flag(name: str, text: str) -> bool:
    lowered = str(text).lower()
    if lowered not in _TRUE | _FALSE:
        raise StoreError(f"The store option {name}={text!r} must be 'true' or 'false'")
    return lowered in _TRUE
