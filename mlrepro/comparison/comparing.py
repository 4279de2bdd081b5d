"""Comparing versions by name."""

from collections.abc import Sequence
from dataclasses import replace

from mlrepro.catalog import Version, VersionName, find_store, parse_version_name, version
from mlrepro.catalog.channels import ChannelEntry
from mlrepro.comparison.changing import changes_between
from mlrepro.comparison.comparison import Comparison
from mlrepro.comparison.facts import Compared, read_facts
from mlrepro.comparison.metrics import Number, compare_metrics
from mlrepro.comparison.naming import full_names
from mlrepro.comparison.past import Past, channel_entries, metrics_of, read_past
from mlrepro.comparison.records import Records, at_once
from mlrepro.store import Store

_Group = tuple[tuple[str, ...], str | None]


def compare(
    *names: str,
    partition: str | None = None,
    store: Store | str | None = None,
    scope: str | None = None,
    evaluations: Sequence[str] = (),
) -> Comparison:
    """Compare versions: metrics, config, inputs, code, environment, duration, size.

    Metrics are those of the versions themselves, and those of assets that were made from exactly these versions,
    directly or over other assets: `evaluation.auc` of an asset `evaluation`.

    Args:
        *names: Two or more versions: ``churn_model@v3``, ``churn_model@production``. What has no ``@`` belongs to the
            asset before it: ``"churn_model", "v3", "v7"``. Different assets can be compared too.
        partition: Partition key, for partitioned assets.
        store: A store or its URL. Default: as the resource finds it.
        scope: Whose histories. Default: ``MLREPRO_SCOPE``, then ``default``.
        evaluations: Names of the assets that evaluate. Default: all that have metrics and descend from what is
            compared; to find them costs a few requests for each asset in the store.

    Returns:
        The comparison; print it, or call `to_json`, `to_markdown`, `to_html`.

    Raises:
        VersionNameError: If fewer than two versions are named, or a name can't be read.
        UnknownVersionError: If a version is not there.
        StoreError: If the store fails.

    Example:
        >>> from mlrepro.catalog.history import append_version
        >>> from mlrepro.store import open_store
        >>> store = open_store("memory://compare-example")
        >>> for auc in (0.8, 0.84):
        ...     stored = store.write_value({"auc": auc})
        ...     body = {"data_version": stored.content_hash, "metrics": {"auc": auc}}
        ...     _ = append_version(store, ["churn_model"], None, stored, body)
        >>> compare("churn_model@v1", "churn_model@v2", store=store).metrics["auc"].deltas
        (0.0, 0.04)
    """
    opened = find_store(store, scope=scope)
    full = full_names(names, opened, partition)
    found = at_once(lambda name: version(name, partition=partition, store=opened), full)
    return compare_versions(
        found, opened, channels=[parse_version_name(name).channel for name in full], evaluations=evaluations
    )


def compare_versions(
    versions: Sequence[Version],
    store: Store,
    *,
    channels: Sequence[str | None] = (),
    evaluations: Sequence[str] = (),
) -> Comparison:
    """Compare versions that were found already.

    Args:
        versions: Two or more; the first is what the others are compared with.
        store: The store that holds them.
        channels: The channel that each was named by, or None.
        evaluations: Names of the assets that evaluate. Default: all that do.

    Raises:
        StoreError: If the store fails.
    """
    records = Records(store)
    labels = _labels(versions, channels or [None] * len(versions))
    compared = at_once(lambda pair: read_facts(pair[0], pair[1], records), zip(versions, labels, strict=True))
    entries = {group: channel_entries(of[0].version, records) for group, of in _groups(compared).items()}
    compared, notes = _with_metrics(compared, entries, records, evaluations)
    changes = tuple(tuple(changes_between(compared[0], each)) for each in compared[1:])
    return Comparison(
        versions=tuple(compared),
        metrics=compare_metrics([each.metrics for each in compared]),
        changes=changes,
        notes=(*_unreadable(compared), *notes),
        _past=lambda: _past(compared, entries, records, evaluations),
    )


def _labels(versions: Sequence[Version], channels: Sequence[str | None]) -> list[str]:
    one_asset = len({version.asset for version in versions}) == 1
    return [
        (f"v{version.number}" if one_asset else str(VersionName(version.asset, version.number)))
        + (f" ({channel})" if channel else "")
        for version, channel in zip(versions, channels, strict=True)
    ]


def _groups(compared: Sequence[Compared]) -> dict[_Group, list[Compared]]:
    groups: dict[_Group, list[Compared]] = {}
    for each in compared:
        groups.setdefault((each.version.asset, each.version.partition), []).append(each)
    return groups


def _with_metrics(
    compared: Sequence[Compared],
    entries: dict[_Group, list[ChannelEntry]],
    records: Records,
    evaluations: Sequence[str],
) -> tuple[list[Compared], list[str]]:
    metrics: dict[int, dict[str, Number]] = {}
    notes: dict[str, None] = {}
    for group, of in _groups(compared).items():
        found, silent = metrics_of([each.version for each in of], entries[group], records, evaluations)
        metrics |= {id(each): numbers for each, numbers in zip(of, found, strict=True)}
        notes |= {f"{title} does not tell what it evaluated: only an @ml_asset keeps that": None for title in silent}
    return [replace(each, metrics=metrics[id(each)]) for each in compared], list(notes)


def _past(
    compared: Sequence[Compared],
    entries: dict[_Group, list[ChannelEntry]],
    records: Records,
    evaluations: Sequence[str],
) -> tuple[Past, ...]:
    return tuple(
        read_past([each.version for each in of], [each.label for each in of], entries[group], records, evaluations)
        for group, of in _groups(compared).items()
    )


def _unreadable(compared: Sequence[Compared]) -> list[str]:
    """Say of which versions it is not known, or only in part, how they were made."""
    notes = []
    for each in compared:
        if each.version.input_hash is None:
            notes.append(f"{each.label} was not computed by an @ml_asset, so nothing tells its config, inputs and code")
        elif "record" not in each.readable:
            notes.append(f"the record of {each.label} is lost or damaged, so nothing tells its config, inputs and code")
        elif missing := [name for name in ("sources", "freeze") if name not in each.readable]:
            lost = " and ".join({"sources": "source code", "freeze": "list of libraries"}[name] for name in missing)
            notes.append(f"the {lost} of {each.label} is lost or damaged, and is not compared")
    return list(dict.fromkeys(notes))
