"""All pages, in one table."""

from collections.abc import Sequence
from typing import Final

from mlrepro.web.pages import asset, channel, comparing, overview, plan, runs, version
from mlrepro.web.pages.page import Page

PAGES: Final[Sequence[Page]] = (
    Page(
        "",
        "All assets: newest versions, what channels serve, what the cache saved.",
        "overview.html",
        overview.OverviewQuery,
        overview.Overview,
        overview.overview,
    ),
    Page(
        "asset",
        "An asset: metrics over versions, promotions and rollbacks, versions, a look at its data.",
        "asset.html",
        asset.AssetQuery,
        asset.Asset,
        asset.asset,
    ),
    Page(
        "version",
        "A version: record, lineage by version, code, how to make it again.",
        "version.html",
        version.VersionQuery,
        version.VersionPage,
        version.version,
    ),
    Page(
        "compare",
        "Versions side by side: metrics with deltas, config, inputs, environment, code.",
        "compare.html",
        comparing.CompareQuery,
        comparing.Compare,
        comparing.compare,
    ),
    Page(
        "channel",
        "A channel: what it serves, its history, gates and quarantine, and what moving it would do.",
        "channel.html",
        channel.ChannelQuery,
        channel.Channel,
        channel.channel,
    ),
    Page("run", "A run, and those that follow from it.", "run.html", runs.RunQuery, runs.RunPage, runs.run),
    Page("runs", "Newest runs, or two side by side.", "runs.html", runs.RunsQuery, runs.RunsPage, runs.runs),
    Page(
        "plan",
        "What materializing a selection would do, as records tell.",
        "plan.html",
        plan.PlanQuery,
        plan.Plan,
        plan.plan,
    ),
)
"""All pages."""
