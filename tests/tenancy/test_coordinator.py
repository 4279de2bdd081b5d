"""Whose a run is, and who may launch it: as its tags and its log say after it was submitted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.run_coordinator import SubmitRunContext

from mlrepro.errors import RunRefusedError, TenantsError
from tests.tenancy.company import TENANTS, Company, company

FORGED = {"dagster/user": "root", "user": "root", "mlrepro/location": "b", "mlrepro/git_ref": "main"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with company(tmp_path_factory.mktemp("company")) as made:
        yield made


@pytest.fixture
def firm(made: Company) -> Company:
    made.file.write_text(TENANTS)
    return made


def backfill(
    firm: Company, tags: dict[str, str], status: BulkActionStatus = BulkActionStatus.REQUESTED, name: str = ""
) -> str:
    made = PartitionBackfill(
        backfill_id=name or f"fill{len(firm.instance.get_backfills())}",
        status=status,
        from_failure=False,
        tags=tags,
        backfill_timestamp=1.0,
        asset_selection=[dg.AssetKey("x")],
        serialized_asset_backfill_data="{}",
    )
    firm.instance.add_backfill(made)
    return made.backfill_id


class TestWhose:
    def test_a_user_who_launches_is_named_whatever_their_tags_say(self, firm: Company) -> None:
        tags = firm.submit(firm.create("a", FORGED), firm.by("ana"))
        assert (tags["dagster/user"], tags["mlrepro/tenant"], tags["mlrepro/location"]) == ("ana", "a", "a")
        assert tags["mlrepro/git_ref"] == "v7"

    def test_a_git_ref_that_nobody_gave_is_not_believed(self, firm: Company) -> None:
        assert firm.submit(firm.create("b", FORGED), firm.by("bob"))["mlrepro/git_ref"] == ""
        assert "mlrepro/git_ref" not in firm.submit(firm.create("b"), firm.by("bob"))

    @pytest.mark.parametrize(
        ("by_dagster", "who"),
        [
            ({"dagster/sensor_name": "watch", "dagster/tick": "1"}, "sensor:watch"),
            ({"dagster/schedule_name": "daily", "dagster/tick": "1"}, "schedule:daily"),
            ({"dagster/from_automation_condition": "true", "dagster/sensor_name": "default"}, "automation"),
            ({"dagster/auto_observe": "true"}, "automation"),
            ({"dagster/tick": "4"}, "automation"),
        ],
    )
    def test_what_launches_by_itself_takes_nobodys_name(
        self, by_dagster: dict[str, str], who: str, firm: Company
    ) -> None:
        others = backfill(firm, {"dagster/user": "bob"})
        forged = FORGED | {"mlrepro/tenant": "b", "dagster/backfill": others, "dagster/priority": "9999"}
        tags = firm.submit(firm.create("a", forged | by_dagster), firm.daemon())
        assert (tags["dagster/user"], tags["mlrepro/tenant"], tags["mlrepro/location"]) == (who, "a", "a")
        assert tags["dagster/priority"] == "10"

    def test_a_backfill_is_its_users(self, firm: Company) -> None:
        tags = {"dagster/user": "ana", "dagster/tick": ""}
        mine = backfill(firm, tags)
        run = firm.create("a", {"dagster/backfill": mine, "dagster/user": "bob"})
        assert firm.submit(run, firm.daemon())["dagster/user"] == "ana"

    def test_a_backfill_that_a_sensor_asked_for_is_the_sensors(self, firm: Company) -> None:
        tags = {"dagster/user": "bob", "dagster/sensor_name": "another", "dagster/tick": firm.tick("a", "watch")}
        asked = backfill(firm, tags)
        run = firm.create("a", tags | {"dagster/backfill": asked})
        assert firm.submit(run, firm.daemon())["dagster/user"] == "sensor:watch"

    @pytest.mark.parametrize("copied", [True, False], ids=["as Dagster does", "without the tick"])
    def test_a_sensor_launches_nothing_of_another_tenant_by_a_backfill(self, copied: bool, firm: Company) -> None:
        tags = {"dagster/sensor_name": "nightly", "dagster/tick": firm.tick("a", "watch")}
        run = firm.create("b", {**(tags if copied else {}), "dagster/backfill": backfill(firm, tags)})
        with pytest.raises(RunRefusedError, match="sensor:watch in code location a is tenant a's, and asks for assets"):
            firm.coordinate(run, firm.daemon())

    def test_a_backfill_of_a_sensor_that_nobody_knows_is_refused(self, firm: Company) -> None:
        for tick in ("4711", "first"):
            run = firm.create("a", {"dagster/backfill": backfill(firm, {"dagster/tick": tick}), "dagster/tick": tick})
            with pytest.raises(RunRefusedError, match="nobody knows which sensor asked for backfill fill"):
                firm.coordinate(run, firm.daemon())

    def test_a_backfill_that_is_over_gives_nobody_its_users_name(self, firm: Company) -> None:
        over = backfill(firm, {"dagster/user": "bob"}, BulkActionStatus.COMPLETED_SUCCESS)
        run = firm.create("a", {"dagster/backfill": over})
        assert firm.submit(run, firm.daemon())["dagster/user"].startswith("cli:")

    def test_an_automatic_retry_is_the_first_ones(self, firm: Company) -> None:
        first = firm.create("a")
        firm.submit(first, firm.by("ana"))
        again = firm.create("a", {"dagster/user": "bob"}, parent_run_id=first, root_run_id=first)
        firm.instance.add_run_tags(first, {"dagster/auto_retry_run_id": again})
        assert firm.submit(again, firm.daemon())["dagster/user"] == "ana"

    def test_who_only_says_that_it_is_a_retry_is_not_believed(self, firm: Company) -> None:
        first = firm.create("a")
        firm.submit(first, firm.by("ana"))
        claim = {"dagster/retry_number": "1", "dagster/parent_run_id": first, "dagster/sensor_name": "watch"}
        again = firm.create("a", claim, parent_run_id=first, root_run_id=first)
        assert firm.submit(again, firm.daemon())["dagster/user"] == "sensor:watch"

    def test_the_command_line_is_named_after_the_account(self, firm: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("getpass.getuser", lambda: "operator")
        monkeypatch.setenv("MLREPRO_USER", "ana")
        tags = firm.submit(firm.create("a", FORGED | {"mlrepro/tenant": "b"}), firm.daemon())
        assert (tags["dagster/user"], tags["mlrepro/tenant"]) == ("cli:operator", "a")

    def test_what_was_submitted_before_keeps_its_name(self, firm: Company) -> None:
        run = firm.create("a")
        firm.submit(run, firm.by("ana"))
        firm.submit(run, firm.by("root"))
        assert firm.run(run).tags["dagster/user"] == "ana"


class TestWhoMay:
    @pytest.mark.parametrize(
        ("location", "who", "why"),
        [
            ("a", ("ana",), None),
            ("a", ("zoe", "ops"), None),
            ("a", ("root",), None),
            ("c", ("root",), None),
            ("a", ("eve",), "eve is viewer of tenant a"),
            ("a", ("bob",), "bob does not belong to tenant a"),
            ("a", ("nobody",), "nobody does not belong to tenant a"),
            ("a", ("ops",), "ops does not belong to tenant a"),
            ("b", ("ana",), "ana does not belong to tenant b"),
            ("c", ("ana",), "code location c belongs to no tenant"),
            ("c", ("bob",), "code location c belongs to no tenant"),
        ],
    )
    def test_members(self, location: str, who: tuple[str, ...], why: str | None, firm: Company) -> None:
        run = firm.create(location)
        if why is None:
            assert firm.submit(run, firm.by(*who))["dagster/user"] == who[0]
            return
        with pytest.raises(RunRefusedError, match=why):
            firm.submit(run, firm.by(*who))
        refused(firm, run, why, who[0])

    def test_a_plain_webserver_launches_nothing(self, firm: Company) -> None:
        run = firm.create("a", {"dagster/user": "ana", "dagster/sensor_name": "watch"})
        with pytest.raises(RunRefusedError):
            firm.submit(run, firm.unverified())
        refused(firm, run, "launch it through `mlrepro webserver`", "?")

    def test_nor_does_its_backfill(self, firm: Company) -> None:
        run = firm.create("a", {"dagster/backfill": backfill(firm, {}), "dagster/user": "ana"})
        with pytest.raises(RunRefusedError, match="nobody knows who launched backfill fill"):
            firm.submit(run, firm.daemon())
        refused(firm, run, "nobody knows", "?")

    @pytest.mark.parametrize(
        ("tags", "why"),
        [
            ({"mlrepro/tenant": "b"}, "this run is of tenant a"),
            ({"dagster-k8s/config": '{"job_metadata": {"namespace": "b"}}'}, "dagster-k8s/config may not be given"),
            ({"dagster-k8s/resource_requirements": "{}"}, "may not be given"),
            ({".dagster/grpc_info": '{"host": "evil", "port": 1}'}, "may not be given"),
            ({"dagster/priority": "11"}, "from -10 to 10"),
            ({"dagster/priority": "-11"}, "from -10 to 10"),
            ({"dagster/priority": "high"}, "from -10 to 10"),
            ({"dagster/backfill": "bobs"}, "backfill bobs did not launch this run"),
        ],
    )
    @pytest.mark.parametrize("user", ["ana", "root"])
    def test_tags(self, user: str, tags: dict[str, str], why: str, firm: Company) -> None:
        if not firm.instance.get_backfill("bobs"):
            backfill(firm, {"dagster/user": "bob"}, name="bobs")
        run = firm.create("a", tags)
        with pytest.raises(RunRefusedError, match=why):
            firm.submit(run, firm.by(user))
        refused(firm, run, why, user)

    @pytest.mark.parametrize("tag", ["dagster-k8s/config", "mlrepro/tenant"])
    def test_tags_that_come_by_a_backfill(self, tag: str, firm: Company) -> None:
        mine = backfill(firm, {"dagster/user": "ana", tag: "b"})
        run = firm.create("a", {"dagster/backfill": mine, tag: "b"})
        with pytest.raises(RunRefusedError, match=tag):
            firm.submit(run, firm.daemon())

    def test_the_jobs_own_tags_stay(self, firm: Company) -> None:
        run = firm.create("a", job="large")
        assert "dagster-k8s/config" in firm.submit(run, firm.by("ana"))
        other = firm.create("a", {"dagster-k8s/config": "{}"}, job="large")
        with pytest.raises(RunRefusedError):
            firm.submit(other, firm.by("ana"))

    @pytest.mark.parametrize("workspace", ["user", "sensor"])
    @pytest.mark.parametrize("how", ["parent", "root", "parent's tag", "root's tag"])
    def test_nobody_goes_on_from_another_tenants_run(self, how: str, workspace: str, firm: Company) -> None:
        mine, theirs = firm.create("a"), firm.create("b")
        firm.submit(mine, firm.by("ana"))
        firm.submit(theirs, firm.by("bob"))
        sensor = {"dagster/sensor_name": "watch"}
        run = {
            "parent": lambda: firm.create("a", sensor, parent_run_id=theirs, root_run_id=mine),
            "root": lambda: firm.create("a", sensor, parent_run_id=mine, root_run_id=theirs),
            "parent's tag": lambda: firm.create("a", sensor | {"dagster/parent_run_id": theirs}),
            "root's tag": lambda: firm.create("a", sensor | {"dagster/root_run_id": theirs}),
        }[how]()
        with pytest.raises(RunRefusedError, match=f"run {theirs}, which this one goes on from"):
            firm.submit(run, firm.by("ana") if workspace == "user" else firm.daemon())

    def test_what_was_refused_is_not_allowed_by_going_on_from_it(self, firm: Company) -> None:
        tags = {"dagster-k8s/config": "{}"}
        first = firm.create("a", tags)
        with pytest.raises(RunRefusedError):
            firm.submit(first, firm.by("ana"))
        again = firm.create("a", tags, parent_run_id=first, root_run_id=first)
        with pytest.raises(RunRefusedError, match="may not be given"):
            firm.submit(again, firm.by("ana"))

    def test_what_was_refused_can_be_launched_again_by_who_may(self, firm: Company) -> None:
        first = firm.create("a")
        with pytest.raises(RunRefusedError):
            firm.submit(first, firm.by("eve"))
        again = firm.create("a", dict(firm.run(first).tags), parent_run_id=first, root_run_id=first)
        tags = firm.submit(again, firm.by("ana"))
        assert (tags["dagster/user"], tags["mlrepro/refused"]) == ("ana", "false")

    def test_what_was_never_submitted_neither(self, firm: Company) -> None:
        tags = {"dagster-k8s/config": "{}"}
        first = firm.create("a", tags)
        again = firm.create("a", tags, parent_run_id=first, root_run_id=first)
        with pytest.raises(RunRefusedError, match="may not be given"):
            firm.submit(again, firm.by("ana"))

    def test_a_run_is_executed_again_with_its_tags(self, firm: Company) -> None:
        first = firm.create("a", job="large")
        tags = dict(firm.submit(first, firm.by("ana")))
        again = firm.create("a", tags, job="large", parent_run_id=first, root_run_id=first)
        assert firm.submit(again, firm.by("zoe", "ops"))["dagster/user"] == "zoe"

    def test_a_tenants_own_process_launches_only_what_is_the_tenants(
        self, firm: Company, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLREPRO_TENANT", "a")
        firm.submit(firm.create("a"), firm.daemon())
        with pytest.raises(RunRefusedError, match="is tenant a's"):
            firm.submit(firm.create("b"), firm.daemon())

    def test_rights_that_are_taken_away_are_gone_at_once(self, firm: Company) -> None:
        firm.submit(firm.create("a"), firm.by("ana"))
        firm.file.write_text(firm.file.read_text().replace("user: ana", "user: anna"))
        with pytest.raises(RunRefusedError):
            firm.submit(firm.create("a"), firm.by("ana"))


def refused(firm: Company, run: str, why: str, user: str) -> None:
    """The run says why it failed, is never tried again, and names who asked for it."""
    failed = firm.run(run)
    assert failed.status is dg.DagsterRunStatus.FAILURE
    assert why in firm.told(run)
    assert failed.tags["dagster/max_retries"] == "0"
    assert failed.tags["mlrepro/tenant"] in {failed.tags["mlrepro/location"], "-"}
    assert failed.tags["dagster/user"] == user


def test_the_file_is_not_read_before_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLREPRO_TENANTS", raising=False)
    with company(tmp_path, {"tenants_file": str(tmp_path / "none.yaml")}) as firm:
        assert firm.instance.get_concurrency_config().pool_config is not None  # as a run worker asks
        run = firm.create("a")
        with pytest.raises(TenantsError, match=r"none\.yaml"):
            firm.submit(run, firm.by("ana"))
        refused(firm, run, "can't be read", "?")


def test_whoever_fails_while_being_looked_at_is_refused(firm: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ConnectionError("code server away")

    monkeypatch.setattr("mlrepro.tenancy.launching.job_tags", broken)
    run = firm.create("a", {"dagster/user": "bob"})
    with pytest.raises(ConnectionError):
        firm.instance.run_coordinator.submit_run(SubmitRunContext(firm.run(run), firm.by("ana")))
    tags = firm.run(run).tags
    assert (tags["dagster/user"], tags["dagster/max_retries"]) == ("ana", "0")
