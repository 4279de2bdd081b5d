"""What a materialization of a channel says: from where to where, who, why, what the gates said, what differs."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import dagster as dg
from tabulate import tabulate

from mlrepro.catalog.channels import ChannelEntry, ChannelName
from mlrepro.catalog.history import Version
from mlrepro.catalog.names import VersionName
from mlrepro.comparison import compare
from mlrepro.errors import CacheWarning, MlreproError
from mlrepro.io_managers.facts import PREFIX
from mlrepro.io_managers.pages import link
from mlrepro.store import Store

REFUSED: Final = "refused"
"""In an observation of a channel: number of the version that did not pass its gates."""


def entry_facts(store: Store, entry: ChannelEntry) -> dict[str, Any]:
    """Describe an entry of a channel's history as metadata of its materialization.

    Args:
        store: Where the versions are, to compare what was served with what is.
        entry: The entry.
    """
    assert entry.after is not None, "an entry without a version is no materialization"
    facts: dict[str, Any] = {
        f"{PREFIX}channel": str(entry.name),
        f"{PREFIX}serves": f"v{entry.after.number}",
        f"{PREFIX}before": f"v{entry.before.number}" if entry.before else "nothing",
        f"{PREFIX}moved": entry.kind,
        f"{PREFIX}who": entry.who,
        **({f"{PREFIX}reason": entry.reason} if entry.reason else {}),
        **({f"{PREFIX}sensor": entry.sensor} if entry.sensor else {}),
        f"{PREFIX}entry": entry.number,
        f"{PREFIX}version": entry.after.number,
        f"{PREFIX}content_hash": entry.after.stored.content_hash,
        **_page(store, entry.name),
    }
    if entry.gates:
        facts[f"{PREFIX}gates"] = dg.MetadataValue.md(gates_table(entry.gates))
    if entry.before is not None and not entry.before.is_same(entry.after):
        facts |= _comparison(store, entry)
    return facts


def refusal_facts(
    store: Store, name: ChannelName, version: Version, said: str, gates: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Describe a version that did not pass its gates as metadata of an observation of the channel.

    Args:
        store: Where the channel is.
        name: The channel.
        version: The version.
        said: What the gates say against it.
        gates: What each gate said.
    """
    return {
        f"{PREFIX}channel": str(name),
        f"{PREFIX}{REFUSED}": version.number,
        f"{PREFIX}said": said,
        f"{PREFIX}gates": dg.MetadataValue.md(gates_table(gates)),
        f"{PREFIX}verdicts": dg.MetadataValue.json([dict(gate) for gate in gates]),
        **_page(store, name),
    }


def _page(store: Store, name: ChannelName) -> dict[str, Any]:
    key = str(ChannelName(name.asset, name.channel))
    return link("channel", [("key", key), ("scope", store.scope), ("partition", name.partition)])


def gates_table(gates: Any) -> str:
    """Write what gates said as a table.

    Example:
        >>> print(gates_table([{"gate": "evaluation.auc >= 0.8", "passed": True, "said": "it is 0.83"}]))
        | gate                  | passed   | said       |
        |-----------------------|----------|------------|
        | evaluation.auc >= 0.8 | yes      | it is 0.83 |
    """
    rows = [
        {
            column: _cell(value)
            for column, value in (("gate", gate["gate"]), ("passed", gate["passed"]), ("said", gate["said"]))
        }
        for gate in gates
    ]
    return str(tabulate(rows, headers="keys", tablefmt="github"))


def _cell(value: Any) -> str:
    text = ("yes" if value else "NO") if isinstance(value, bool) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _comparison(store: Store, entry: ChannelEntry) -> dict[str, Any]:
    assert entry.before is not None and entry.after is not None, "asked for by who knows"  # noqa: PT018
    names = [str(VersionName(entry.name.asset, pointer.number)) for pointer in (entry.before, entry.after)]
    try:
        made = compare(*names, partition=entry.name.partition, store=store)
    except MlreproError as error:  # the channel has moved: that nothing can be compared is not worth a failure
        warnings.warn(f"{names[0]} and {names[1]} can't be compared: {error}", CacheWarning, stacklevel=2)
        return {}
    return {f"{PREFIX}comparison": dg.MetadataValue.md(made.to_markdown())}
