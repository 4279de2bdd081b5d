"""What mlrepro says about a step in the metadata of its materializations."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import dagster as dg

from mlrepro.catalog.history import Version
from mlrepro.catalog.names import VersionName
from mlrepro.io_managers.key import StepKey
from mlrepro.io_managers.lookup import Hit, Miss
from mlrepro.io_managers.pages import link

PREFIX = "mlrepro/"


def hit_facts(key: StepKey, hit: Hit, output: Mapping[str, Any], version: Version | None) -> dict[str, Any]:
    """Describe a hit: who computed it first, when, in which run, and the seconds saved."""
    record = hit.record
    said = {f"{PREFIX}cache": hit.kind, **({f"{PREFIX}{hit.kind}": hit.said} if hit.said else {})}
    if hit.kind == "served":  # nobody computed anything
        return {
            **said,
            f"{PREFIX}who": record["who"],
            f"{PREFIX}when": _timestamp(record["started"]),
            **_common(key, output, version),
        }
    return {
        **said,
        f"{PREFIX}computed_by": record["who"],
        f"{PREFIX}computed_at": _timestamp(record["started"]),
        f"{PREFIX}computed_in_run": dg.MetadataValue.dagster_run(record["run_id"]),
        f"{PREFIX}seconds_saved": float(record["seconds"]),
        **({f"{PREFIX}computed_in": record["code_location"]} if record.get("code_location") else {}),
        **({f"{PREFIX}scope": hit.scope} if hit.scope == "shared" else {}),
        **_common(key, output, version),
    }


def computed_facts(
    key: StepKey,
    miss: Miss,
    output: Mapping[str, Any],
    version: Version | None,
    seconds: float,
    *,
    nondeterministic: bool = False,
) -> dict[str, Any]:
    """Describe a computation: why it ran, and how long it took."""
    return {
        f"{PREFIX}cache": "computed",
        f"{PREFIX}because": miss.reason,
        f"{PREFIX}seconds": round(seconds, 3),
        **({f"{PREFIX}nondeterministic": True} if nondeterministic else {}),
        **_common(key, output, version),
    }


def _common(key: StepKey, output: Mapping[str, Any], version: Version | None) -> dict[str, Any]:
    facts: dict[str, Any] = {f"{PREFIX}input_hash": key.input_hash}
    stored = output.get("stored")
    if stored:
        facts[f"{PREFIX}content_hash"] = stored["content_hash"]
        facts[f"{PREFIX}format"] = stored["format"]
    if version is not None:
        facts[f"{PREFIX}version"] = version.number
        origin = version.stored.origin
        named = str(VersionName(version.asset, version.number))
        facts |= link(
            "version",
            [("of", named), ("scope", origin.scope if origin else None), ("partition", version.partition)],
        )
    doubtful = [report.message for report in key.code.reports]
    if doubtful:
        facts[f"{PREFIX}code_reports"] = dg.MetadataValue.md("\n".join(f"- {line}" for line in doubtful))
    return facts


def _timestamp(text: str) -> dg.TimestampMetadataValue:
    return dg.MetadataValue.timestamp(dt.datetime.fromisoformat(text).timestamp())
