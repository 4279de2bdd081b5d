"""Each of Dagster's mutations as a team would send it, and who may."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlrepro.tenancy import Role
from tests.web.installation import Installation

REPOSITORY = "__repository__"
_ANSWER = "{__typename ... on UnauthorizedError {message} ... on PythonError {message}}"
_BARE = "{__typename ... on PythonError {message}}"

ANYBODY = "anybody"
NOBODY = "nobody"


class Team:
    """What a team has in an instance, made when a mutation needs it.

    Args:
        at: Where.
        name: The code location's name, which all its things have in theirs.
        tenant: Whose instance, where they are isolated.
    """

    def __init__(self, at: Installation, name: str, tenant: str | None = None) -> None:
        self.name = name
        self._root = at.user("root", tenant)
        self._at = at
        self._home = tenant or ""

    @property
    def repository(self) -> dict[str, str]:
        return {"repositoryLocationName": self.name, "repositoryName": REPOSITORY}

    def key(self, what: str = "model") -> dict[str, Any]:
        return {"path": [f"{self.name}_{what}"]}

    def launch(self, **more: Any) -> dict[str, Any]:
        """The parameters of a launch."""
        return {"selector": {**self.repository, "jobName": f"{self.name}_job"}, **more}

    def run(self) -> str:
        """A run that waits in the queue."""
        query = (
            "mutation($p: ExecutionParams!) {launchRun(executionParams: $p) {... on LaunchRunSuccess {run {runId}}}}"
        )
        return str(self._root.post(query, {"p": self.launch()}).json()["data"]["launchRun"]["run"]["runId"])

    def backfill(self, what: str = "assets", *, ended: bool = False) -> str:
        """A backfill, of assets or of a job, that nobody works at."""
        launched = "launchPartitionBackfill(backfillParams: $p) {... on LaunchBackfillSuccess {backfillId}}"
        query = f"mutation($p: LaunchBackfillParams!) {{{launched}}}"
        given = self._root.post(query, {"p": self.filling(what)}).json()
        backfill_id = str(given["data"]["launchPartitionBackfill"]["backfillId"])
        if ended:
            from dagster._core.execution.backfill import BulkActionStatus

            instance = self._at.instance(self._home)
            backfill = instance.get_backfill(backfill_id)
            assert backfill is not None
            instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELED))
        return backfill_id

    def filling(self, what: str = "assets") -> dict[str, Any]:
        """The parameters of a backfill."""
        if what == "assets":
            return {"assetSelection": [self.key("letters")], "partitionNames": ["a", "b"]}
        name = f"{self.name}_partitioned_partition_set"
        selector = {"repositorySelector": self.repository, "partitionSetName": name}
        return {"selector": selector, "partitionNames": ["a"]}

    def compound_id(self, what: str) -> str:
        """The id of the schedule, or the sensor, as Dagster's UI sends it."""
        kind = what.capitalize()
        query = (
            f"query($s: {kind}Selector!) {{{what}OrError({what}Selector: $s) {{... on {kind} {{{what}State {{id}}}}}}}}"
        )
        given = self._root.post(query, {"s": {**self.repository, f"{what}Name": f"{self.name}_{what}"}}).json()
        return str(given["data"][f"{what}OrError"][f"{what}State"]["id"])


@dataclass(frozen=True)
class Mutation:
    """One mutation.

    Attributes:
        name: Its field.
        needs: The lowest role that may; None: an administrator of the instance; or ANYBODY, or NOBODY.
        declared: Its variables, as GraphQL declares them.
        given: Its arguments.
        variables: What is sent, about a team's things.
        answer: What is asked of the result.
    """

    name: str
    needs: Role | str | None
    declared: str
    given: str
    variables: Callable[[Team], dict[str, Any]]
    answer: str = _ANSWER

    @property
    def query(self) -> str:
        declared = f"({self.declared})" if self.declared else ""
        given = f"({self.given})" if self.given else ""
        return f"mutation{declared} {{{self.name}{given} {self.answer}}}"


def _schedule(team: Team) -> dict[str, Any]:
    return {"s": {**team.repository, "scheduleName": f"{team.name}_schedule"}}


def _sensor(team: Team) -> dict[str, Any]:
    return {"s": {**team.repository, "sensorName": f"{team.name}_sensor"}}


def _launch(name: str, needs: Role = Role.LAUNCHER) -> Mutation:
    return Mutation(name, needs, "$p: ExecutionParams!", "executionParams: $p", lambda team: {"p": team.launch()})


def _again(name: str) -> Mutation:
    return Mutation(
        name,
        Role.LAUNCHER,
        "$p: ReexecutionParams!",
        "reexecutionParams: $p",
        lambda team: {"p": {"parentRunId": team.run(), "strategy": "ALL_STEPS"}},
    )


def _of_run(name: str, needs: Role) -> Mutation:
    return Mutation(name, needs, "$r: String!", "runId: $r", lambda team: {"r": team.run()})


def _of_partition(name: str, declared: str, given: str, key: Any) -> Mutation:
    return Mutation(
        name,
        Role.EDITOR,
        f"$s: RepositorySelector!, $n: String!, {declared}",
        f"repositorySelector: $s, partitionsDefName: $n, {given}",
        lambda team: {"s": team.repository, "n": f"{team.name}_regions", "k": key or uuid.uuid4().hex},
    )


MUTATIONS = [
    _launch("launchRun"),
    _launch("launchPipelineExecution"),
    Mutation(
        "launchMultipleRuns",
        Role.LAUNCHER,
        "$p: [ExecutionParams!]!",
        "executionParamsList: $p",
        lambda team: {"p": [team.launch(), team.launch()]},
        "{__typename ... on LaunchMultipleRunsResult {launchMultipleRunsResult {__typename}}}",
    ),
    _again("launchRunReexecution"),
    _again("launchPipelineReexecution"),
    Mutation("startSchedule", Role.EDITOR, "$s: ScheduleSelector!", "scheduleSelector: $s", _schedule),
    Mutation("resetSchedule", Role.EDITOR, "$s: ScheduleSelector!", "scheduleSelector: $s", _schedule),
    Mutation(
        "stopRunningSchedule", Role.EDITOR, "$i: String", "id: $i", lambda team: {"i": team.compound_id("schedule")}
    ),
    Mutation("startSensor", Role.EDITOR, "$s: SensorSelector!", "sensorSelector: $s", _sensor),
    Mutation("resetSensor", Role.EDITOR, "$s: SensorSelector!", "sensorSelector: $s", _sensor),
    Mutation("stopSensor", Role.EDITOR, "$i: String", "id: $i", lambda team: {"i": team.compound_id("sensor")}),
    Mutation(
        "setSensorCursor",
        Role.EDITOR,
        "$s: SensorSelector!",
        'sensorSelector: $s, cursor: "somewhere else"',
        _sensor,
    ),
    Mutation(
        "sensorDryRun",
        Role.LAUNCHER,
        "$s: SensorSelector!",
        'selectorData: $s, cursor: ""',
        _sensor,
        "{__typename ... on UnauthorizedError {message} ... on DryRunInstigationTick {evaluationResult {skipReason}}}",
    ),
    Mutation(
        "scheduleDryRun",
        Role.LAUNCHER,
        "$s: ScheduleSelector!",
        "selectorData: $s, timestamp: 1700000000",
        _schedule,
        "{__typename ... on UnauthorizedError {message} ... on DryRunInstigationTick {evaluationResult {skipReason}}}",
    ),
    _of_run("terminateRun", Role.LAUNCHER),
    _of_run("terminatePipelineExecution", Role.LAUNCHER),
    Mutation(
        "terminateRuns",
        Role.LAUNCHER,
        "$r: [String!]!",
        "runIds: $r",
        lambda team: {"r": [team.run(), team.run()]},
        "{__typename ... on TerminateRunsResult {terminateRunResults {__typename}}}",
    ),
    _of_run("deleteRun", Role.EDITOR),
    _of_run("deletePipelineRun", Role.EDITOR),
    Mutation(
        "reloadRepositoryLocation",
        Role.EDITOR,
        "$n: String!",
        "repositoryLocationName: $n",
        lambda team: {"n": team.name},
    ),
    Mutation("reloadWorkspace", None, "", "", lambda team: {}),
    Mutation(
        "shutdownRepositoryLocation", None, "$n: String!", "repositoryLocationName: $n", lambda team: {"n": team.name}
    ),
    Mutation(
        "wipeAssets",
        Role.EDITOR,
        "$r: [PartitionsByAssetSelector!]!",
        "assetPartitionRanges: $r",
        lambda team: {"r": [{"assetKey": team.key()}]},
    ),
    Mutation(
        "reportRunlessAssetEvents",
        Role.EDITOR,
        "$e: ReportRunlessAssetEventsParams!",
        "eventParams: $e",
        lambda team: {"e": {"eventType": "ASSET_MATERIALIZATION", "assetKey": team.key()}},
    ),
    Mutation(
        "reportAssetCheckEvaluations",
        Role.EDITOR,
        "$e: ReportAssetCheckEvaluationsParams!",
        "eventParams: $e",
        lambda team: {"e": {"assetKey": team.key(), "checkName": "fine", "passed": False}},
    ),
    Mutation(
        "launchPartitionBackfill",
        Role.LAUNCHER,
        "$p: LaunchBackfillParams!",
        "backfillParams: $p",
        lambda team: {"p": team.filling()},
    ),
    Mutation(
        "resumePartitionBackfill",
        Role.LAUNCHER,
        "$b: String!",
        "backfillId: $b",
        lambda team: {"b": team.backfill(ended=True)},
    ),
    Mutation(
        "cancelPartitionBackfill",
        Role.LAUNCHER,
        "$b: String!",
        "backfillId: $b",
        lambda team: {"b": team.backfill("job")},
    ),
    Mutation(
        "reexecutePartitionBackfill",
        Role.LAUNCHER,
        "$p: ReexecutionParams!",
        "reexecutionParams: $p",
        lambda team: {"p": {"parentRunId": team.backfill("job", ended=True), "strategy": "ALL_STEPS"}},
    ),
    _of_partition("addDynamicPartition", "$k: String!", "partitionKey: $k", None),
    _of_partition("deleteDynamicPartitions", "$k: [String!]!", "partitionKeys: $k", ["north"]),
    Mutation(
        "setAppManagedComponent",
        NOBODY,
        "$n: String!",
        'locationName: $n, componentId: "c", componentType: "t", attributes: "{}"',
        lambda team: {"n": team.name},
    ),
    Mutation(
        "deleteAppManagedComponent",
        NOBODY,
        "$n: String!",
        'locationName: $n, componentId: "c"',
        lambda team: {"n": team.name},
    ),
    Mutation(
        "refreshComponentState",
        Role.EDITOR,
        "$n: String!",
        'locationName: $n, defsStateKey: "k"',
        lambda team: {"n": team.name},
    ),
    Mutation("setAutoMaterializePaused", None, "", "paused: false", lambda team: {}, ""),
    Mutation(
        "setConcurrencyLimit", None, "$k: String!", "concurrencyKey: $k, limit: 0", lambda team: {"k": team.name}, ""
    ),
    Mutation("deleteConcurrencyLimit", None, "$k: String!", "concurrencyKey: $k", lambda team: {"k": team.name}, ""),
    Mutation("freeConcurrencySlots", None, "$r: String!", "runId: $r", lambda team: {"r": team.run()}, ""),
    Mutation("freeConcurrencySlotsForRun", None, "$r: String!", "runId: $r", lambda team: {"r": team.run()}, ""),
    Mutation(
        "logTelemetry",
        ANYBODY,
        "",
        'action: "looked", clientTime: "1700000000", clientId: "c", metadata: "{}"',
        lambda team: {},
        _BARE,
    ),
    Mutation("setNuxSeen", ANYBODY, "", "", lambda team: {}, ""),
]
BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}
