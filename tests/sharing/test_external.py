"""An asset of another team, used in one's own code location, where each team has a Dagster instance of its own."""

import decimal

import dagster as dg
import pytest

from mlrepro import channel, load, ml_asset, promote, shared_asset
from mlrepro.errors import AssetDefinitionError, MlreproError, UntrustedPickleError, VersionNameError
from tests.definitions.lab import Lab
from tests.instances import new_instance

DAYS = dg.StaticPartitionsDefinition(["mon", "tue"])


@pytest.fixture
def theirs(lab: Lab) -> Lab:
    """The other team's: the same store, another Dagster instance."""
    other = Lab(lab.folder)
    other.instance = new_instance()
    return other


@pytest.fixture
def ours(lab: Lab) -> Lab:
    lab.settings = {"read_scopes": ["shared", "theirs"]}
    return lab


def publish(theirs: Lab, *values: object) -> None:
    for value in values:
        theirs.run(rates_giving(value), scope="theirs")


def rates_giving(value: object) -> dg.AssetsDefinition:
    @ml_asset
    def rates(context: dg.AssetExecutionContext) -> object:
        return value

    return rates


rates = shared_asset("rates", scope="theirs")


@ml_asset
def report(rates: list[int]) -> int:
    return sum(rates)


def test_a_step_uses_the_newest_version_and_is_cached_by_its_content(theirs: Lab, ours: Lab) -> None:
    publish(theirs, [1, 2])
    first = ours.run(rates, report, scope="ours")
    assert (first.cache, first.value("report")) == ({"report": "computed"}, 3)
    assert ours.run(rates, report, scope="ours").cache == {"report": "hit"}
    publish(theirs, [1, 2, 4])
    changed = ours.run(rates, report, scope="ours")
    assert (changed.cache, changed.value("report")) == ({"report": "computed"}, 7)
    assert changed.metadata("report")["mlrepro/because"] == "input rates: v1 -> v2"


def test_lineage_names_the_version_that_was_used(theirs: Lab, ours: Lab) -> None:
    publish(theirs, [1, 2])
    ran = ours.run(rates, report, select=["report"], scope="ours")
    (seen,) = ours.instance.fetch_observations(dg.AssetKey("rates"), limit=5).records
    observation = seen.asset_observation
    assert observation is not None
    assert observation.metadata["mlrepro/scope"].value == "theirs"
    assert observation.metadata["mlrepro/version"].value == 1
    content = theirs.store("theirs").newest(("versions", "rates", "_")).body["data_version"]
    assert observation.tags["dagster/data_version"] == content
    assert ran.materialization("report").tags["dagster/input_data_version/rates"] == content


def test_observing_it_logs_its_data_version(theirs: Lab, ours: Lab) -> None:
    publish(theirs, [1, 2])
    defs = ours.definitions(rates, report, scope="ours", jobs=[dg.define_asset_job("look", selection=["rates"])])
    assert defs.resolve_job_def("look").execute_in_process(instance=ours.instance).success
    (seen,) = ours.instance.fetch_observations(dg.AssetKey("rates"), limit=5).records
    assert seen.asset_observation is not None
    assert len(seen.asset_observation.tags["dagster/data_version"]) == 64


def test_nothing_of_the_other_team_is_changed(theirs: Lab, ours: Lab) -> None:
    publish(theirs, [1, 2])
    files = {path: path.read_bytes() for path in ours.folder.glob("store/theirs/**/*") if path.is_file()}
    ours.run(rates, report, scope="ours")
    assert files == {path: path.read_bytes() for path in ours.folder.glob("store/theirs/**/*") if path.is_file()}


def test_an_asset_of_ones_own_by_the_same_name_is_not_meant(theirs: Lab, ours: Lab) -> None:
    publish(theirs, [1, 2])
    ours.run(rates_giving([100]), scope="ours")
    ours.instance = new_instance()
    assert ours.run(rates, report, scope="ours").value("report") == 3


def test_what_a_channel_serves_is_used_until_the_channel_moves(theirs: Lab, ours: Lab) -> None:
    slope = rates_giving([0.5])
    served = channel("production", slope)
    production = shared_asset("rates@production", scope="theirs")
    assert production.key.path == ["rates", "production"]

    @ml_asset(ins={"slope": dg.AssetIn(production.key)})
    def doubled(slope: list[float]) -> float:
        return slope[0] * 2

    theirs.run(slope, served, scope="theirs")
    assert ours.run(production, doubled, scope="ours").value("doubled") == 1
    publish(theirs, [0.75])
    assert ours.run(production, doubled, scope="ours").cache == {"doubled": "hit"}, "a version that is not promoted yet"
    promote("rates@v2", channel="production", store=theirs.store("theirs"), reason="better")
    assert ours.run(production, doubled, scope="ours").value("doubled") == 1.5


def test_one_version_stays_what_it_is(theirs: Lab, ours: Lab) -> None:
    publish(theirs, [1, 2], [1, 2, 4])
    pinned = shared_asset("rates", version="v1", scope="theirs")
    assert pinned.key.path == ["rates", "v1"], "the newest version keeps the key for itself"

    @ml_asset(ins={"rates": dg.AssetIn(pinned.key)})
    def audit(rates: list[int]) -> int:
        return sum(rates)

    assert ours.run(pinned, audit, scope="ours").value("audit") == 3
    publish(theirs, [9])
    assert ours.run(pinned, audit, scope="ours").cache == {"audit": "hit"}


def test_the_first_part_of_a_key_is_the_team(theirs: Lab, ours: Lab) -> None:
    @ml_asset(key_prefix="theirs")
    def prices() -> list[int]:
        return [3, 4]

    theirs.run(prices, scope="theirs")
    source = shared_asset("theirs/prices", version="latest")

    @ml_asset(ins={"prices": dg.AssetIn(source.key)})
    def invoice(prices: list[int]) -> int:
        return sum(prices)

    assert ours.run(source, invoice, scope="ours").value("invoice") == 7


def test_partitions(theirs: Lab, ours: Lab) -> None:
    @ml_asset(partitions_def=DAYS)
    def daily(context: dg.AssetExecutionContext) -> str:
        return context.partition_key.upper()

    @ml_asset
    def week(daily: dict[str, str]) -> list[str]:
        return sorted(daily.values())

    source = shared_asset("daily", scope="theirs", partitions_def=DAYS)
    theirs.run(daily, partition="mon", scope="theirs")
    with pytest.raises(MlreproError, match="daily, partition tue, has no version in scope 'theirs'"):
        ours.run(source, week, scope="ours")
    theirs.run(daily, partition="tue", scope="theirs")
    assert ours.run(source, week, scope="ours").value("week") == ["MON", "TUE"]
    assert ours.run(source, week, scope="ours").cache == {"week": "hit"}


def test_a_plain_asset_may_use_it_too(theirs: Lab, ours: Lab) -> None:
    @dg.asset
    def plain(rates: list[int]) -> int:
        return len(rates)

    publish(theirs, [1, 2])
    assert ours.run(rates, plain, scope="ours").value("plain") == 2


def test_a_pickle_is_not_loaded_unless_its_team_is_trusted(theirs: Lab, ours: Lab) -> None:
    @ml_asset
    def digits(rates: decimal.Context) -> int:
        return rates.prec

    publish(theirs, decimal.Context(prec=7))
    with pytest.raises(UntrustedPickleError, match="is a pickle from scope 'theirs', which is not trusted"):
        ours.run(rates, digits, scope="ours")
    ours.settings["trusted_scopes"] = ["theirs"]
    assert ours.run(rates, digits, scope="ours").value("digits") == 7


class TestWhatIsToldToTheUser:
    def test_the_other_team_has_nothing(self, ours: Lab) -> None:
        with pytest.raises(MlreproError, match=r"rates has no version in scope 'theirs'.*its team must materialize it"):
            ours.run(rates, report, scope="ours")

    def test_the_scope_is_not_read(self, theirs: Lab, lab: Lab) -> None:
        publish(theirs, [1, 2])
        with pytest.raises(MlreproError, match=r"reads ours, shared: add it to ReproStore\(read_scopes=\[...\]\)"):
            lab.run(rates, report, scope="ours")

    def test_a_version_that_is_not_there(self, theirs: Lab, ours: Lab) -> None:
        publish(theirs, [1, 2])
        source = shared_asset("rates", version="v3", scope="theirs", key="rates")
        with pytest.raises(MlreproError, match=r"rates@v3 is not in scope 'theirs'"):
            ours.run(source, report, scope="ours")

    def test_two_versions(self) -> None:
        with pytest.raises(AssetDefinitionError, match="rates@production names a version already"):
            shared_asset("rates@production", version="v3", scope="theirs")

    def test_nobodys_asset(self) -> None:
        with pytest.raises(AssetDefinitionError, match=r"whose is rates\? Name its team's scope"):
            shared_asset("rates")

    def test_no_name(self) -> None:
        with pytest.raises(VersionNameError):
            shared_asset("@production", scope="theirs")

    def test_no_scope(self) -> None:
        with pytest.raises(MlreproError, match="scope"):
            shared_asset("rates", scope="../theirs")


def test_the_right_to_read_may_come_from_the_environment(
    theirs: Lab, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(theirs, [1, 2])
    monkeypatch.setenv("MLREPRO_READ_SCOPES", "shared, theirs")
    assert lab.run(rates, report, scope="ours").value("report") == 3
    assert load("rates", store=lab.url, scope="ours") == [1, 2]
