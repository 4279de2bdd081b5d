"""Which code a shared asset is run by, whom it takes trust in, and what is said where it can't be run."""

import json
import shutil
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext
from dagster._core.definitions.reconstruct import (
    initialize_repository_def_from_pointer,
    reconstruct_repository_def_from_pointer,
)

from mlrepro import ml_asset, promote, shared_asset, shared_workflow
from mlrepro.catalog.workflows import append_push
from mlrepro.errors import AssetDefinitionError, BundleError, UnknownVersionError
from mlrepro.store.signing import new_key
from tests.definitions.lab import Lab, Outcome
from tests.sharing.team import Team

pytestmark = pytest.mark.slow  # each pushes, and computes in processes of its own


def flow(factor: int) -> str:
    return f"""
from mlrepro import ml_asset, ml_definitions

@ml_asset
def prices() -> list[float]:
    return [1.0, 2.0]

@ml_asset
def total(prices: list[float]) -> float:
    return {factor} * sum(prices)

defs = ml_definitions(assets=[prices, total])
"""


def shared(name: str, **how: object) -> dg.AssetsDefinition:
    return shared_asset(name, scope="theirs", materializable=True, **how)  # type: ignore[call-overload, no-any-return]


@ml_asset
def prices() -> list[float]:
    return [10.0]


def test_the_code_is_what_is_served_or_what_computed_a_version_or_what_a_channel_serves(
    theirs: Team, ours: Lab
) -> None:
    theirs.push(flow=flow(1))
    theirs.run()
    promote("total@v1", channel="production", store=theirs.store, reason="first")
    theirs.push(flow=flow(2))
    theirs.run()

    def computed(version: str) -> float:
        return float(ours.run(prices, shared("total", version=version), scope="ours").value("total"))

    assert computed("latest") == 20
    assert computed("v1") == 10
    assert computed("production") == 10
    promote("total@v2", channel="production", store=theirs.store, reason="better")
    assert computed("production") == 20
    assert shared("total@v1").specs_by_key[dg.AssetKey("total")].code_version != (
        shared("total@v2").specs_by_key[dg.AssetKey("total")].code_version
    )


def test_a_workflow_is_taken_as_a_whole_with_its_wiring_beside_ones_own_assets_of_these_names(
    theirs: Team, ours: Lab
) -> None:
    theirs.push(flow=flow(1))
    theirs.push(flow=flow(3))

    @ml_asset
    def total(prices: list[float]) -> str:
        return "ours"

    now = shared_workflow("pricing", scope="theirs", prefix="theirs")
    ran = ours.run(prices, total, *now, scope="ours")

    assert ran.value("theirs/total") == 9
    assert ran.value("total") == "ours"
    assert ran.materialization("theirs/total").tags.keys() >= {"dagster/input_data_version/theirs/prices"}
    first = shared_workflow("pricing", version="v1", scope="theirs", selection=["total"], group_name="bought")
    assert [key.to_user_string() for each in first for key in each.keys] == ["total"]
    assert first[0].group_names_by_key == {dg.AssetKey("total"): "bought"}
    assert ours.run(prices, *first, scope="ours").value("total") == 10


def test_code_of_a_scope_that_is_not_trusted_is_not_run_and_its_results_are_still_hits(
    theirs: Team, ours: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs.push(flow=flow(1))
    theirs.run()
    monkeypatch.delenv("MLREPRO_TRUSTED_SCOPES")
    ours.settings = {"read_scopes": ["shared", "theirs"]}

    assert ours.run(*shared_workflow("pricing", scope="theirs"), scope="ours").cache == {
        "prices": "hit",
        "total": "hit",
    }
    refused = ours.run(prices, shared("total"), scope="ours", raise_on_error=False)

    assert said(refused) == (
        "pricing@v1 is code of scope 'theirs', which is not trusted, so it is not run: if you trust all who write"
        " there, add 'theirs' to ReproStore(trusted_scopes=[...]) or MLREPRO_TRUSTED_SCOPES"
    )


def test_a_signature_vouches_for_the_code_that_computed_what_is_signed(
    theirs: Team, ours: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = str(tmp_path / "key.pem")
    public = new_key(Path(key))
    theirs.push(flow=flow(1))
    theirs.run(MLREPRO_SIGNING_KEY=key)
    monkeypatch.delenv("MLREPRO_TRUSTED_SCOPES")
    monkeypatch.setenv("MLREPRO_TRUSTED_KEYS", f"theirs={public}")
    ours.settings = {"read_scopes": ["shared", "theirs"]}

    assert ours.run(prices, shared("total", version="v1"), scope="ours").value("total") == 10
    unsigned = ours.run(prices, shared("total"), tags={"mlrepro/cache": "off"}, scope="ours", raise_on_error=False)
    assert said(unsigned).startswith("pricing@v1 is code of scope 'theirs', which is not trusted")


def test_a_run_has_the_version_that_its_code_location_was_loaded_with(
    theirs: Team, ours: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs.push(flow=flow(1))
    (tmp_path / "here.py").write_text(
        "import dagster as dg\n"
        "from mlrepro import shared_asset\n"
        "total = shared_asset('total', scope='theirs', materializable=True)\n"
        "defs = dg.Definitions(assets=[total, dg.AssetSpec('prices')])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    pointer = ModuleCodePointer("here", "defs", str(tmp_path))

    def code_version(repository: dg.RepositoryDefinition) -> str | None:
        return repository.asset_graph.get(dg.AssetKey("total")).code_version

    try:
        loaded = initialize_repository_def_from_pointer(pointer)
        theirs.push(flow=flow(2))
        del sys.modules["here"]
        in_a_run = reconstruct_repository_def_from_pointer(pointer, loaded.repository_load_data)
        assert code_version(in_a_run) == code_version(loaded)
        del sys.modules["here"]
        assert code_version(initialize_repository_def_from_pointer(pointer)) != code_version(loaded), "loaded again"
    finally:
        DefinitionsLoadContext._instance = None


def test_a_bundle_that_is_gone_and_code_that_fails_are_one_line(theirs: Team, ours: Lab) -> None:
    pushed = theirs.push(flow=flow(1).replace("sum(prices)", "sum(prices) / (len(prices) - 1)"))
    broken = ours.run(prices, shared("total"), scope="ours", raise_on_error=False)
    assert said(broken) == "total of pricing@v1 could not be computed: ZeroDivisionError: float division by zero"

    total = shared("total")
    shutil.rmtree(ours.folder / "our-cache")
    assert pushed.packed is not None
    ours.blob(pushed.packed.digest).unlink()
    gone = ours.run(prices, total, scope="ours", raise_on_error=False)
    assert said(gone).startswith(
        f"total of pricing@v1 can't be computed: the code bundle {pushed.packed.digest[:12]} can't be read from"
    )


def test_what_can_not_be_run_by_another_team_is_said_when_it_is_declared(theirs: Team, ours: Lab) -> None:
    theirs.push(
        flow="""
import dagster as dg
from mlrepro import ml_asset, ml_definitions

DAYS = dg.StaticPartitionsDefinition(["mon", "tue"])

class Every(dg.PartitionMapping):
    description = "every"
    def validate_partition_mapping(self, *_): ...
    def get_downstream_partitions_for_partitions(self, *_, **__): raise NotImplementedError
    def get_upstream_mapped_partitions_result_for_partitions(self, *_, **__): raise NotImplementedError

@ml_asset(partitions_def=DAYS)
def rates() -> float:
    return 1.0

@ml_asset(partitions_def=DAYS, ins={"rates": dg.AssetIn(partition_mapping=Every())})
def mapped(rates: dict) -> float:
    return 1.0

@ml_asset(cache=False)
def uncached() -> float:
    return 1.0

@ml_asset
def asks(database: dg.ResourceParam[object]) -> float:
    return 1.0

@dg.asset
def plain() -> float:
    return 1.0

defs = ml_definitions(assets=[rates, mapped, uncached, asks, plain], resources={"database": object()})
"""
    )
    cannot = "of pricing@v1 can't be run by another team:"
    for name, why in {
        "mapped": f"mapped {cannot} the partition mapping to rates is of the project's own kind, Every. Use it",
        "uncached": f"uncached {cannot} it has cache=False, so that no result of it is kept. Use it as it is",
        "asks": f"asks {cannot} it takes the resource database, which its own code location configures. Use it as",
        "plain": "plain of pricing@v1 is no @ml_asset, so that no other team can run it: use it as it is",
        "nobody": "no code location of scope 'theirs' in",
    }.items():
        with pytest.raises(AssetDefinitionError) as raised:
            shared(name)
        assert why in str(raised.value)
    assert [key.to_user_string() for each in shared_workflow("pricing", scope="theirs") for key in each.keys] == [
        "rates"
    ]
    for raises, declare, why in [
        (UnknownVersionError, lambda: shared("rates", location="prices"), "the code location prices has no version"),
        (UnknownVersionError, lambda: shared_workflow("pricing", version="v7", scope="theirs"), "no v7 in"),
        (BundleError, lambda: shared_workflow("pricing", version="newest", scope="theirs"), "is no version"),
        (UnknownVersionError, lambda: shared("uncached", version="v3"), "its team must materialize it first"),
        (AssetDefinitionError, lambda: shared_asset("x", scope="far", materializable=True), "add it to ReproStore"),
    ]:
        with pytest.raises(raises, match=why):
            declare()


def test_its_author_neither_publishes_our_results_nor_chooses_our_pods(
    theirs: Team, ours: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs.push(
        flow="""
import dagster as dg
from mlrepro import Cache, ml_asset, ml_definitions

@ml_asset(cache=Cache(scope="shared"), image="theirs/image:1")
def total(prices: list[float]) -> float:
    return sum(prices)

defs = ml_definitions(assets=[total, dg.AssetSpec("prices")])
"""
    )
    trusted = shared("total")
    assert "theirs/image:1" in str(trusted.op.tags)
    monkeypatch.delenv("MLREPRO_TRUSTED_SCOPES")
    assert shared("total").op.tags == {}

    ran = ours.run(prices, trusted, scope="ours")

    assert ran.value("total") == 10
    assert ours.store("shared").get_result(ran.metadata("total")["mlrepro/input_hash"], only="shared") is None
    assert ours.store("ours").get_result(ran.metadata("total")["mlrepro/input_hash"], only="ours") is not None


def test_notes_that_somebody_garbled_are_one_line(theirs: Team, ours: Lab) -> None:
    pushed = theirs.push(flow=flow(1))
    told = json.loads(theirs.store.read_bytes(pushed.version.body["definitions"]))
    for garbled in (
        {"interfaces": [{"schema": 1}]},
        {"interfaces": [{**told["interfaces"][0], "outputs": {"result": {"asset": "prices"}}}]},
        {"interfaces": [{**told["interfaces"][0], "partitions": '{"__class__": "os.system"}'}]},
        {"interfaces": [{**told["interfaces"][0], "config": {"type": {"shape": 7}, "required": True}}]},
        {"interfaces": 7},
        {"sources": [7], "reached": {"assets/prices": [0]}},
    ):
        blob = theirs.store.write_bytes(json.dumps({**told, **garbled}).encode())
        append_push(theirs.store, "pricing", {**pushed.version.body, "definitions": blob, "digest": blob}, who="eve")
        with pytest.raises(BundleError, match="its team must push it again"):
            shared("prices", location="pricing")


def test_each_partition_is_theirs(theirs: Team, ours: Lab) -> None:
    theirs.push(
        flow="""
import dagster as dg
from mlrepro import ml_asset, ml_definitions

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-05")

@ml_asset(partitions_def=DAYS)
def rates(context: dg.AssetExecutionContext) -> float:
    return float(context.partition_key[-1])

@ml_asset(
    partitions_def=DAYS,
    ins={"rates": dg.AssetIn(partition_mapping=dg.TimeWindowPartitionMapping(start_offset=-1))},
)
def smooth(rates: dict[str, float]) -> float:
    return sum(rates.values()) if isinstance(rates, dict) else rates

@ml_asset(deps=[rates])
def stamp() -> str:
    return "all"

defs = ml_definitions(assets=[rates, smooth, stamp])
"""
    )
    flow = shared_workflow("pricing", scope="theirs")
    for day in ("2026-01-02", "2026-01-03"):
        ours.run(*flow, select=["rates"], partition=day, scope="ours")
    ran = ours.run(*flow, select=["smooth"], partition="2026-01-03", scope="ours")
    assert ran.value("smooth") == 5
    assert ours.run(*flow, select=["smooth"], partition="2026-01-03", scope="ours").cache == {"smooth": "hit"}


def said(outcome: Outcome) -> str:
    """The error of a run that failed."""
    (failure,) = [event for event in outcome.result.all_events if event.is_step_failure]
    error = failure.step_failure_data.error
    while error.cls_name != "SharedAssetError":
        error = error.cause
    return str(error.message).partition(": ")[2].strip()
