"""What is known of one version that is compared."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlrepro.catalog import Version, VersionName
from mlrepro.comparison.metrics import Number
from mlrepro.comparison.records import Records
from mlrepro.errors import StoreError
from mlrepro.store import Store
from mlrepro.versioning import Evidence

_SOURCE_FIELDS = {"name", "file", "line", "text"}


@dataclass(frozen=True)
class Compared:
    """One of the versions that are compared.

    Attributes:
        version: The version.
        label: How it is shown: ``v3``, ``v3 (production)`` where it was named by a channel.
        evidence: What it can be compared by; without a record where nothing tells how it was made.
        readable: Which of ``record``, ``sources`` and ``freeze`` could be read.
        metrics: Its metrics, those of its evaluations among them.
    """

    version: Version
    label: str
    evidence: Evidence
    readable: frozenset[str] = frozenset()
    metrics: Mapping[str, Number] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its full name: ``team/churn_model@v3``."""
        return str(VersionName(self.version.asset, self.version.number))

    @property
    def size(self) -> int:
        """Bytes that it takes in the store."""
        return self.version.stored.size + self.version.stored.parts_size

    @property
    def created(self) -> str | None:
        """When it was made, as ISO 8601; None for one that a channel serves and whose history has lost it."""
        return self.version.body.get("created")

    @property
    def seconds(self) -> float | None:
        """How long its computation took."""
        seconds = self.version.body.get("seconds", self.evidence.record.get("seconds"))
        return seconds if isinstance(seconds, int | float) else None

    def to_json(self) -> dict[str, Any]:
        """Write what is known of it as a JSON object."""
        body, record = self.version.body, self.evidence.record
        environment = record.get("environment")
        return {
            "name": self.name,
            "label": self.label,
            "asset": str(VersionName(self.version.asset, None)),
            "partition": self.version.partition,
            "version": self.version.number,
            "content_hash": self.version.stored.content_hash,
            "format": self.version.stored.format,
            "python_type": self.version.stored.python_type,
            "size": self.size,
            "created": self.created,
            "who": body.get("who"),
            "run_id": body.get("run_id"),
            "code_location": body.get("code_location"),
            "seconds": self.seconds,
            "nondeterministic": bool(body.get("nondeterministic")),
            "git_commit": record.get("git_commit"),
            "seed": record.get("seed"),
            "config": record.get("config"),
            "inputs": record.get("inputs"),
            "environment": {key: value for key, value in environment.items() if key not in ("freeze", "local")}
            if isinstance(environment, Mapping)
            else None,
            "metrics": dict(self.metrics),
        }


def read_facts(version: Version, label: str, records: Records) -> Compared:
    """Read what made a version. A record that is missing or damaged, or a blob that it names, is left out.

    Args:
        version: The version.
        label: How it is to be shown.
        records: The store's records.
    """
    record = records.result(version)
    if record is None or not _is_sound(record):
        return Compared(version, label, Evidence({}))
    sources = _sources(records.store, record)
    freeze = _text(records.store, record.get("environment"), "freeze")
    readable = {"record"} | ({"sources"} if sources is not None else set()) | ({"freeze"} if freeze else set())
    return Compared(version, label, Evidence(record, sources or (), freeze or ""), frozenset(readable))


def shown_time(timestamp: str | None) -> str:
    """Write a time for people, UTC.

    Example:
        >>> shown_time("2026-11-02T10:20:30+01:00")
        '2026-11-02 09:20 UTC'
    """
    try:
        when = dt.datetime.fromisoformat(timestamp or "")
    except ValueError:
        return "-"
    return f"{when.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def _is_sound(record: Mapping[str, Any]) -> bool:
    code, inputs = record.get("code"), record.get("inputs")
    return (
        isinstance(code, Mapping)
        and isinstance(code.get("fingerprint"), str)
        and isinstance(record.get("environment") or {}, Mapping)
        and isinstance(inputs, Mapping)
        and all(isinstance(origin, Mapping) for origin in inputs.values())
    )


def _sources(store: Store, record: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
    text = _text(store, record.get("code"), "sources")
    try:
        sources = json.loads(text) if text else None
    except ValueError:
        return None
    sound = isinstance(sources, list) and all(
        isinstance(each, dict) and each.keys() >= _SOURCE_FIELDS and isinstance(each["text"], str) for each in sources
    )
    return sources if sound else None


def _text(store: Store, part: Any, name: str) -> str | None:
    digest = part.get(name) if isinstance(part, Mapping) else None
    if not isinstance(digest, str):
        return None
    try:
        return store.read_bytes(digest).decode()
    except (StoreError, ValueError):  # gone, damaged, or no digest at all
        return None
