"""The facts of each version in rows, for text and page alike."""

from mlrepro.comparison.comparison import Comparison
from mlrepro.comparison.facts import shown_time
from mlrepro.comparison.shown import MISSING, duration, size


def fact_rows(comparison: Comparison) -> dict[str, list[str]]:
    """List when, by whom, where and how long each version was made, and how large it is.

    Rows in which nothing is known of any version are left out.
    """
    table = {
        "made": [shown_time(each.created) for each in comparison.versions],
        "by": [str(each.version.body.get("who") or MISSING) for each in comparison.versions],
        "run": [str(each.version.body.get("run_id") or MISSING)[:8] for each in comparison.versions],
        "took": [duration(each.seconds) for each in comparison.versions],
        "size": [size(each.size) for each in comparison.versions],
        "stored as": [each.version.stored.format for each in comparison.versions],
        "content": [each.version.stored.content_hash[:12] for each in comparison.versions],
        "git commit": [str(each.evidence.record.get("git_commit") or MISSING)[:12] for each in comparison.versions],
    }
    return {name: values for name, values in table.items() if set(values) != {MISSING}}
