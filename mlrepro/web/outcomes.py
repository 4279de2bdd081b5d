"""What came of a mutation, in a few words for the audit log."""

from typing import Any, Final

_MOST: Final = 50


def outcome_of(result: Any) -> dict[str, Any]:
    """The type of a mutation's result, and the ids of what it made.

    Args:
        result: What Dagster's resolver returned or raised.
    """
    if isinstance(result, BaseException):
        return {"outcome": type(result).__name__, "error": True}
    meta = getattr(type(result), "_meta", None)
    told: dict[str, Any] = {"outcome": getattr(meta, "name", None) or str(result)[:100]}
    if "Error" in told["outcome"] or "Failure" in told["outcome"]:
        told["error"] = True
    if cause := getattr(result, "className", None):
        told["cause"] = str(cause)[:100]
    several = _several(result)
    made = [run_id for each in several for run_id in [_run_id(each)] if run_id]
    if made:
        told["runs"] = made[:_MOST]
    outcomes = {outcome_of(each)["outcome"] for each in several if each is not result}
    if outcomes:
        told["outcomes"] = sorted(outcomes)
        told |= {"error": True} if any("Error" in each or "Failure" in each for each in outcomes) else {}
    if backfill := _backfill_id(result):
        told["backfill"] = backfill
    return told


def _several(result: Any) -> list[Any]:
    for name in ("launchMultipleRunsResult", "terminateRunResults"):
        found = getattr(result, name, None)
        if isinstance(found, list):
            return found
    return [result]


def _run_id(result: Any) -> str | None:
    run = getattr(result, "run", None)
    found = getattr(run, "run_id", None) or getattr(run, "runId", None)
    return found if isinstance(found, str) else None


def _backfill_id(result: Any) -> str | None:
    found = getattr(result, "backfill_id", None) or getattr(result, "backfillId", None)
    return found if isinstance(found, str) else None
