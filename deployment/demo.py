"""Two teams on real data, end to end: what runs, what comes from the cache, and what it saves.

`make demo` runs it, `make ui` opens the same project in Dagster's UI afterwards. It needs nothing but files: an
SQLite instance of Dagster and a folder as store, both in `.demo/`. The code that it edits is a copy.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from opening import open_project
from tabulate import tabulate

import mlrepro

HERE = Path(__file__).parent
USERS = {"delay": "ana", "aircraft": "bob"}
FEATURES = ("clean_flights", "hourly_weather", "flight_features")
OWN = {
    "delay": ("arrival_model", "arrival_evaluation"),
    "aircraft": ("plane_history", "risk_model", "risk_scores", "risk_evaluation", "plane_risk"),
}
EDITED = "common/traffic.py"
COMMENT = ("import pandas as pd\n", "import pandas as pd\n\n# an hour is what the tower's own board shows\n")
DOCSTRING = ("of what left the same airport shortly before", "of the flights that left the same airport just before")
CONSTANT = ("RECENT_MINUTES = 60", "RECENT_MINUTES = 120")


class DemoFailedError(Exception):
    """A step did not do what it says."""


@dataclass(frozen=True)
class Outcome:
    """What became of one asset in one run.

    Attributes:
        asset: Its key.
        hit: Whether its result came from the store.
        by: Who computed the result, in this run or an earlier one.
        why: What made it run, or whose result it is.
        seconds: How long the step took.
        saved: How long the computation took that the hit stands for.
    """

    asset: str
    hit: bool
    by: str
    why: str
    seconds: float
    saved: float


@dataclass(frozen=True)
class Step:
    """One step of the demo: what its runs did, and the seconds that they took from the command line."""

    title: str
    outcomes: Sequence[Outcome]
    wall: float

    @property
    def ran(self) -> set[str]:
        """Keys of the assets that were computed."""
        return {outcome.asset for outcome in self.outcomes if not outcome.hit}

    @property
    def summary(self) -> dict[str, object]:
        """Counts and seconds."""
        return {
            "ran": len(self.ran),
            "hit": len(self.outcomes) - len(self.ran),
            "s in assets": sum(outcome.seconds for outcome in self.outcomes),
            "s saved": sum(outcome.saved for outcome in self.outcomes),
            "s in all": self.wall,
        }


class Demo:
    """The demo's folder: Dagster's home with the store in it, a copy of the code, logs.

    Args:
        folder: Made anew.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.code = folder / "locations"
        self.logs = folder / "logs"

    def run(self) -> None:
        """Run all steps, print what happened, and check that it is what should have.

        Raises:
            DemoFailedError: If a step did something else.
        """
        self._start_afresh()
        steps = [
            self._step("1. Ana's first run", "team delay computes everything", ["delay"], expect_all("delay")),
            self._step(
                "2. Bob's first run",
                "team aircraft finds the shared features, computed by Ana",
                ["aircraft"],
                keys("aircraft", OWN["aircraft"]),
                hits_from=dict.fromkeys(keys("aircraft", FEATURES), "ana"),
            ),
            self._step(
                "3. A comment and a docstring change",
                "nothing runs",
                ["delay", "aircraft"],
                set(),
                edits=[COMMENT, DOCSTRING],
            ),
            self._step(
                "4. A constant changes two modules away",
                "what depends on it runs, the shared part once for both teams",
                ["delay", "aircraft"],
                keys("delay", ["flight_features", *OWN["delay"]])
                | keys("aircraft", OWN["aircraft"]) - {"aircraft/plane_history"},
                hits_from={"aircraft/flight_features": "ana"},
                edits=[CONSTANT],
            ),
            self._step(
                "5. The constant changes back",
                "every result is known, nothing runs",
                ["delay", "aircraft"],
                set(),
                edits=[CONSTANT[::-1]],
            ),
        ]
        heading("In short")
        print(tabulate([{"step": step.title, **step.summary} for step in steps], headers="keys", floatfmt=".1f"))
        self._print_metrics()
        self._print_command("mlrepro", "versions", "delay/arrival_model", "--scope", "delay")
        self._print_command("mlrepro", "diff", "delay/flight_features@v1", "v2", "--scope", "delay")
        self._print_command("mlrepro", "diff", "delay/arrival_evaluation@v1", "v2", "--scope", "delay")
        print("\nAll five steps did what they say. `make ui` opens the project in Dagster's UI.")

    def prepare(self) -> None:
        """Make Dagster's home unless it is there."""
        self.home.mkdir(parents=True, exist_ok=True)
        settings = self.home / "dagster.yaml"
        if not settings.exists():
            settings.write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")

    def environment(self) -> dict[str, str]:
        """The environment of a run: this home and its store, whatever else is set outside."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith("MLREPRO_")}
        return {**outside, "DAGSTER_HOME": str(self.home)}

    def _start_afresh(self) -> None:
        for part in (self.home, self.code, self.logs):
            shutil.rmtree(part, ignore_errors=True)
        self.prepare()
        self.logs.mkdir()
        shutil.copytree(HERE / "locations", self.code, ignore=shutil.ignore_patterns("__pycache__"))
        print("Two teams, two code locations, the 336,776 flights that left New York in 2013, one store.")
        print(f"Everything is in {shown(self.folder)}: Dagster's home, the store, the copy of the code to edit, logs.")

    def _step(
        self,
        title: str,
        claim: str,
        teams: Sequence[str],
        expected: set[str],
        *,
        hits_from: Mapping[str, str] | None = None,
        edits: Sequence[tuple[str, str]] = (),
    ) -> Step:
        heading(f"{title}: {claim}")
        if edits:
            self._edit(edits)
        results = self._results()
        start = time.perf_counter()
        outcomes = [outcome for team in teams for outcome in self._materialize(team, title.split(".", maxsplit=1)[0])]
        step = Step(title, outcomes, time.perf_counter() - start)
        print_outcomes(step)
        check(step, expected, hits_from or {})
        if (added := self._results() - results) != len(expected):
            raise DemoFailedError(f"{len(expected)} assets ran, but {added} results came into the store")
        return step

    def _edit(self, edits: Sequence[tuple[str, str]]) -> None:
        path = self.code / EDITED
        text = path.read_text()
        for before, after in edits:
            if text.count(before) != 1:
                raise DemoFailedError(f"{EDITED} should hold once: {before!r}")
            text = text.replace(before, after)
        before_lines = path.read_text().splitlines()
        path.write_text(text)
        print(f"{EDITED}, which joining.py calls, which assets.py calls:")
        changed = [line for line in before_lines if line not in text.splitlines()]
        added = [line for line in text.splitlines() if line and line not in before_lines]
        print("\n".join([*(f"  - {line}" for line in changed), *(f"  + {line}" for line in added)]) + "\n")

    def _materialize(self, team: str, number: str) -> list[Outcome]:
        """Materialize all assets of a team in a process of its own, as a scheduler would."""
        log = self.logs / f"{number}-{team}.log"
        command = [sys.executable, "-m", "dagster", "job", "execute", "-m", f"{team}.definitions", "-j", "everything"]
        tags = json.dumps({"user": USERS[team]})
        with log.open("w") as output:
            done = subprocess.run(
                [*command, "--tags", tags],
                cwd=self.code,
                env=self.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            raise DemoFailedError(f"the run of team {team} failed, see {shown(log)}")
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            return list(outcomes_of(instance, instance.get_runs(limit=1)[0]))

    def _results(self) -> int:
        """Count the results in the store; one that is published lies in two scopes."""
        return len({path.name for path in (self.home / "mlrepro").glob("*/results/*/*.json")})

    def _print_metrics(self) -> None:
        heading("The models, on October to December, which they have not seen")
        rows = []
        for team, asset in (("delay", "arrival_evaluation"), ("aircraft", "risk_evaluation")):
            store = str(self.home / "mlrepro")
            first, second = (
                mlrepro.load(f"{team}/{asset}@v{number}", dict, store=store, scope=team) for number in (1, 2)
            )
            rows += [(f"{team}/{asset}", name, first[name], second[name]) for name in first]
        print(tabulate(rows, headers=["asset", "metric", "v1", "v2, after step 4"], floatfmt=".4f"))

    def _print_command(self, *command: str) -> None:
        heading("$ " + " ".join(command))
        program = Path(sys.executable).with_name(command[0])
        done = subprocess.run(
            [program, *command[1:]], env=self.environment(), capture_output=True, text=True, check=False
        )
        if done.returncode or not done.stdout.strip():
            raise DemoFailedError(f"{' '.join(command)} failed: {done.stderr}")
        print(done.stdout.strip())


def outcomes_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[Outcome]:
    """Read from Dagster's event log what a run did, in the order of its steps."""
    stats = instance.get_run_step_stats(run.run_id)
    seconds = {step.step_key: (step.end_time or 0) - (step.start_time or 0) for step in stats}
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        event = entry.dagster_event
        assert event is not None
        materialization = event.step_materialization_data.materialization
        facts = {name: value.value for name, value in materialization.metadata.items()}
        hit = facts["mlrepro/cache"] == "hit"
        by = str(facts["mlrepro/computed_by"]) if hit else run.tags["user"]
        yield Outcome(
            asset=materialization.asset_key.to_user_string(),
            hit=hit,
            by=by,
            why=f"computed by {by}" if hit else str(facts["mlrepro/because"]),
            seconds=seconds[str(event.step_key)],
            saved=float(str(facts["mlrepro/seconds_saved"])) if hit else 0.0,
        )


def print_outcomes(step: Step) -> None:
    """Print what became of each asset."""
    rows = [
        {
            "asset": outcome.asset,
            "outcome": "hit" if outcome.hit else "ran",
            "why": outcome.why,
            "seconds": outcome.seconds,
            "seconds saved": outcome.saved if outcome.hit else None,
        }
        for outcome in step.outcomes
    ]
    print(tabulate(rows, headers="keys", floatfmt=".2f"))
    total = step.summary
    print(
        f"\n{total['ran']} ran, {total['hit']} hit; {total['s in assets']:.1f} s in assets,"
        f" {total['s saved']:.1f} s saved, {step.wall:.1f} s in all with the start of Dagster"
    )


def check(step: Step, expected: set[str], hits_from: Mapping[str, str]) -> None:
    """Check that exactly the expected assets ran, and that hits came from whom they should.

    Raises:
        DemoFailedError: If not.
    """
    if step.ran != expected:
        unexpected, missing = sorted(step.ran - expected), sorted(expected - step.ran)
        raise DemoFailedError(f"ran without need: {unexpected or 'none'}; should have run: {missing or 'none'}")
    sources = {outcome.asset: outcome.by for outcome in step.outcomes if outcome.hit}
    for asset, user in hits_from.items():
        if sources.get(asset) != user:
            raise DemoFailedError(f"{asset} should come from {user}, not {sources.get(asset)}")


def keys(team: str, names: Sequence[str]) -> set[str]:
    """Name assets of a team."""
    return {f"{team}/{name}" for name in names}


def expect_all(team: str) -> set[str]:
    """Name all assets of a team."""
    return keys(team, [*FEATURES, *OWN[team]])


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def shown(path: Path) -> Path:
    """Shorten a path for people, where it is in the working directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def main() -> None:
    """Run the demo, or open its project in Dagster's UI."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["run", "ui"], nargs="?", default="run")
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".demo", help="made anew by run")
    parser.add_argument("--port", type=int, default=3000, help="of the UI")
    given = parser.parse_args()
    demo = Demo(given.folder.absolute())
    if given.command == "ui":
        demo.prepare()
        open_project(demo.folder, demo.home, list(USERS), port=given.port, environment=demo.environment())
        return
    try:
        demo.run()
    except DemoFailedError as failed:
        sys.exit(f"\nThe demo FAILED: {failed}")


if __name__ == "__main__":
    main()
