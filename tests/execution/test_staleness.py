"""What Dagster's own UI says of a channel and of what stands downstream, before and after a rollback."""

from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from mlrepro import rollback
from tests.execution.lab import Both, Lab
from tests.execution.test_channels import ASSETS, train


def stale(lab: Lab) -> set[str]:
    graph = lab.definitions(*ASSETS).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(lab.instance, graph, LoadingContextForTest(lab.instance))
    keys = sorted(graph.get_all_asset_keys())
    return {key.to_user_string() for key in keys if resolver.get_status(key) != StaleStatus.FRESH}


def test_what_is_downstream_is_stale_after_a_rollback_and_fresh_after_its_cascade(both: Both) -> None:
    lab = both.first
    train(both, 0.5)
    train(both, 0.4)
    assert stale(lab) == set()
    rollback("slope", channel="production", store=lab.store(), instance=lab.instance)
    assert stale(lab) == {"predictions"}  # Dagster counts from the next one on, once this one moves
    both.first.run(*ASSETS, select=["predictions", "board"])
    assert stale(lab) == set()
    config = {"ops": {"slope": {"config": {"value": 0.4}}}}
    again = lab.run(*ASSETS, config=config)
    assert again.success
    assert stale(lab) == set()


def test_a_pinned_asset_is_not_stale(both: Both) -> None:
    lab = both.first
    train(both, 0.5)
    train(both, 0.4)
    rollback("slope", to="v1", store=lab.store(), instance=lab.instance)
    lab.run(*ASSETS, config={"ops": {"slope": {"config": {"value": 0.9}}}})
    assert stale(lab) == set()
