"""What teams share through scopes, and what they do not load from each other."""

import decimal
import json
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import dagster as dg
import pytest

from mlrepro import Cache, InputHashIOManager, ReproStore, ml_asset
from mlrepro.errors import CacheWarning, UnknownVersionError, UntrustedPickleError
from mlrepro.store.housekeeping import store_clock
from mlrepro.store.housekeeping.gc import collect
from mlrepro.store.housekeeping.retention import Policy
from mlrepro.store.signing import new_key
from tests.definitions.lab import Lab
from tests.store.s3_server import KEY, S3Server, s3_server


@ml_asset(cache=Cache(scope="shared"))
def settings() -> decimal.Context:
    """No format but a pickle takes it."""
    return decimal.Context(prec=7)


@ml_asset(cache=Cache(scope="shared"))
def numbers() -> list[int]:
    return [1, 2]


@ml_asset
def of_ones_own() -> list[int]:
    return [3]


@ml_asset
def using_of_ones_own(of_ones_own: list[int]) -> int:
    return sum(of_ones_own)


@ml_asset
def total(numbers: list[int]) -> int:
    return sum(numbers)


@ml_asset
def digits(settings: decimal.Context) -> int:
    return settings.prec


class TestPickleFromTheSharedScope:
    def test_it_is_computed_and_the_run_says_why(self, lab: Lab) -> None:
        assert lab.run(settings, scope="team-a").cache == {"settings": "computed"}
        again = lab.run(settings, scope="team-b")
        assert again.cache == {"settings": "computed"}
        why = again.metadata("settings")["mlrepro/because"]
        assert "is a pickle from scope 'shared', which is not trusted" in why
        assert "add 'shared' to ReproStore(trusted_scopes=[...])" in why

    def test_what_is_no_pickle_is_a_hit(self, lab: Lab) -> None:
        lab.run(numbers, scope="team-a")
        assert lab.run(numbers, scope="team-b").cache == {"numbers": "hit"}

    def test_it_is_a_hit_for_the_team_that_published_it(self, lab: Lab) -> None:
        lab.run(settings, scope="team-a")
        again = lab.run(settings, scope="team-a")
        assert again.cache == {"settings": "hit"}
        assert again.value("settings").prec == 7

    def test_it_is_a_hit_where_the_scope_is_trusted(self, lab: Lab) -> None:
        lab.run(settings, scope="team-a")
        lab.settings = {"trusted_scopes": ["shared"]}
        again = lab.run(settings, scope="team-b")
        assert again.cache == {"settings": "hit"}
        assert again.value("settings").prec == 7

    def test_it_is_a_hit_where_its_publisher_is_trusted(self, lab: Lab, tmp_path: Path) -> None:
        public = new_key(tmp_path / "team-a.pem")
        lab.settings = {"signing_key": str(tmp_path / "team-a.pem")}
        lab.run(settings, scope="team-a")
        lab.settings = {"trusted_keys": {"shared": [public]}}
        assert lab.run(settings, scope="team-b").cache == {"settings": "hit"}


class TestSignaturesRequired:
    @pytest.fixture
    def demanding(self, lab: Lab, tmp_path: Path) -> Lab:
        new_key(tmp_path / "key.pem")
        lab.settings = {"signing_key": str(tmp_path / "key.pem"), "require_signatures": True}
        return lab

    def test_what_is_signed_is_a_hit(self, demanding: Lab) -> None:
        demanding.run(settings, numbers)
        again = demanding.run(settings, numbers)
        assert again.cache == {"settings": "hit", "numbers": "hit"}
        assert again.value("settings").prec == 7

    def test_what_was_stored_before_is_computed_again(self, lab: Lab, tmp_path: Path) -> None:
        lab.run(numbers)
        new_key(tmp_path / "key.pem")
        lab.settings = {"signing_key": str(tmp_path / "key.pem"), "require_signatures": True}
        again = lab.run(numbers)
        assert again.cache == {"numbers": "computed"}
        assert "it is not signed, and signatures are required" in again.metadata("numbers")["mlrepro/because"]
        assert lab.run(numbers).cache == {"numbers": "hit"}

    def test_a_forged_record_is_computed_again(self, demanding: Lab) -> None:
        demanding.run(of_ones_own)
        forge(demanding, "default")
        again = demanding.run(of_ones_own)
        assert again.cache == {"of_ones_own": "computed"}
        assert "it was altered, or forged" in again.metadata("of_ones_own")["mlrepro/because"]
        assert demanding.run(of_ones_own).cache == {"of_ones_own": "hit"}

    def test_the_true_one_that_was_published_still_counts(self, demanding: Lab) -> None:
        demanding.run(numbers)
        forge(demanding, "default")
        with pytest.warns(CacheWarning, match="in scope 'default' does not count: .* altered, or forged"):
            assert demanding.run(numbers).cache == {"numbers": "hit"}

    def test_a_forged_record_in_the_shared_scope_is_nobodys_hit(self, demanding: Lab) -> None:
        demanding.run(numbers, scope="team-a")
        forge(demanding, "shared")
        assert demanding.run(numbers, scope="team-b").cache == {"numbers": "computed"}
        assert demanding.run(numbers, scope="team-c").cache == {"numbers": "hit"}, "what team-b published replaced it"


class TestAnAssetOfAnotherTeamInOneInstance:
    """It takes no more than the asset's key: Dagster knows what the other team materialized, and from what."""

    def test_it_is_loaded_from_a_scope_that_is_read(self, lab: Lab) -> None:
        lab.run(of_ones_own, scope="team-a")
        lab.settings = {"read_scopes": ["shared", "team-a"]}
        ran = lab.run(dg.AssetSpec("of_ones_own"), using_of_ones_own, scope="team-b")
        assert ran.value("using_of_ones_own") == 3
        content = ran.materialization("using_of_ones_own").tags["dagster/input_data_version/of_ones_own"]
        assert content == lab.store("team-a").newest(("versions", "of_ones_own", "_")).body["data_version"]

    def test_what_was_published_is_loaded_though_its_teams_scope_is_not_read(self, lab: Lab) -> None:
        lab.run(numbers, scope="team-a")
        again = [lab.run(dg.AssetSpec("numbers"), total, scope="team-b") for _ in range(2)]
        assert [ran.cache for ran in again] == [{"total": "computed"}, {"total": "hit"}]
        assert again[0].value("total") == 3

    def test_what_was_not_published_is_not(self, lab: Lab) -> None:
        lab.run(of_ones_own, scope="team-a")
        with pytest.raises(UnknownVersionError, match=r"of_ones_own has no version .* \(scopes team-b, shared\)"):
            lab.run(dg.AssetSpec("of_ones_own"), using_of_ones_own, scope="team-b")

    def test_a_pickle_that_was_published_is_not_loaded_unless_its_scope_is_trusted(self, lab: Lab) -> None:
        lab.run(settings, scope="team-a")
        with pytest.raises(UntrustedPickleError, match="which is not trusted"):
            lab.run(dg.AssetSpec("settings"), digits, scope="team-b")
        lab.settings = {"trusted_scopes": ["shared"]}
        assert lab.run(dg.AssetSpec("settings"), digits, scope="team-b").value("digits") == 7

    def test_an_event_that_names_a_result_which_does_not_exist_is_no_version(self, lab: Lab) -> None:
        facts = {"mlrepro/input_hash": "0" * 64, "mlrepro/content_hash": "1" * 64, "mlrepro/version": 1}
        told = dg.AssetMaterialization("numbers", metadata=facts, tags={"dagster/data_version": "1" * 64})
        lab.instance.report_runless_asset_event(told)
        with pytest.raises(UnknownVersionError, match="numbers has no version 111111111111 in the store"):
            lab.run(dg.AssetSpec("numbers"), total, scope="team-b")


def forge(lab: Lab, scope: str) -> None:
    (path,) = Path(lab.url).glob(f"{scope}/results/*/*.json")
    forged = json.loads(path.read_bytes())
    del forged["sha256"]
    path.write_text(json.dumps({**forged, "who": "eve"}))


def test_wrong_settings_are_told_before_anything_runs(lab: Lab) -> None:
    lab.settings = {"trusted_keys": {"shared": ["no key"]}}
    with pytest.raises(Exception, match=r"'no key' is no public key: expected what `mlrepro signing-key` prints"):
        lab.run(numbers)


@pytest.mark.slow
class TestPublishingWithoutTheRight:
    @pytest.fixture(scope="class")
    def server(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
        only_own = {
            "name": "team-a",
            "credentials": [{"accessKey": f"{KEY}-a", "secretKey": "secret-of-a"}],
            "actions": [f"{verb}:mlrepro/team-a/*" for verb in ("Read", "Write", "List")]
            + [f"{verb}:mlrepro/shared/*" for verb in ("Read", "List")],
        }
        with s3_server(tmp_path_factory.mktemp("s3"), identities=[only_own]) as server:
            yield server

    def test_it_is_kept_in_the_own_scope_with_a_warning(
        self, lab: Lab, server: S3Server, capfd: pytest.CaptureFixture[str]
    ) -> None:
        options = server.options | {"access_key_id": f"{KEY}-a", "secret_access_key": "secret-of-a"}
        manager = InputHashIOManager(store=ReproStore(url="s3://mlrepro", scope="team-a", options=options))
        first = lab.run(numbers, resources={"io_manager": manager})
        assert first.cache == {"numbers": "computed"}
        said = capfd.readouterr().err
        assert said.count("the result is not published to scope 'shared' but kept in 'team-a'") == 1
        assert "These credentials lack the right" in said
        assert lab.run(numbers, resources={"io_manager": manager}).cache == {"numbers": "hit"}


def test_a_range_of_a_plain_asset_outlives_garbage_collection(lab: Lab) -> None:
    days = dg.StaticPartitionsDefinition(["a", "b"])

    @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
    def plain(context: dg.AssetExecutionContext) -> dict[str, int]:
        return {key: len(key) for key in context.partition_keys}

    @ml_asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
    def doubled(context: dg.AssetExecutionContext, plain: dict[str, int]) -> dict[str, int]:
        return {key: 2 * value for key, value in plain.items()}

    whole = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}
    lab.run(plain, doubled, select=["plain"], tags=whole)
    for days_later in (100, 102):
        with mock.patch.object(store_clock, "now", return_value=time.time() + days_later * 86_400):
            collect(lab.store(), Policy(keep_versions=1), delete=True)
    assert lab.run(plain, doubled, select=["doubled"], tags=whole).success
