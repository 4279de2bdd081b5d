"""A model that passes its gate and fails in service is taken back, by a sensor under the real daemon.

`make rollback-demo` runs it, `make rollback-ui` opens it in Dagster's UI afterwards. Everything is in
`.demo/rollback/`: Dagster's home with the store, and the logs. Nothing is made up: both models are trained on flights
that left New York in 2013, by the same code, and judged by how far their predictions were from what happened.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import dagster as dg
from demo import Demo, DemoFailedError, heading, shown
from opening import open_project
from tabulate import tabulate

HERE = Path(__file__).parent
LOCATION = ["-m", "quality.definitions"]
CHANNEL = "arrival_model/production"
FEATURES = {"clean_flights", "hourly_weather", "flight_features"}
MODEL = {"arrival_model", "evaluation"}
SERVED = {"predictions", "daily_board", "worst_routes", "live_quality"}
METRIC = "within_10_minutes"
WAIT_SECONDS = 120
Found = TypeVar("Found")


@dataclass(frozen=True)
class Result:
    """One materialization of a run.

    Attributes:
        data_version: Dagster's data version of it: the hash of its content.
        facts: Its metadata.
    """

    data_version: str
    facts: Mapping[str, object]

    @property
    def outcome(self) -> str:
        """What became of the asset: it ran, it was a hit, or what happened to it as a channel."""
        if "mlrepro/moved" in self.facts:
            return str(self.facts["mlrepro/moved"])
        return "hit" if self.facts["mlrepro/cache"] == "hit" else "ran"

    @property
    def why(self) -> str:
        """What made it so."""
        if "mlrepro/moved" in self.facts:
            return f"{self.facts['mlrepro/before']} -> {self.facts['mlrepro/serves']}: {self.facts['mlrepro/reason']}"
        if self.outcome == "hit":
            return f"computed by {self.facts['mlrepro/computed_by']}"
        return str(self.facts["mlrepro/because"])


Results = Mapping[str, Result]


class RollbackDemo(Demo):
    """The demo's folder: Dagster's home with the store in it, and logs.

    Args:
        folder: Made anew.
    """

    @property
    def page(self) -> Path:
        """The page that compares both models."""
        return self.folder / "comparison.html"

    def run(self) -> None:
        """Run all steps, print what happened, and check that it is what should have.

        Raises:
            DemoFailedError: If a step did something else.
        """
        start = time.monotonic()
        self._start_afresh()
        # opened before any other process is there to make the same tables
        with dg.DagsterInstance.from_config(str(self.home)) as instance, self._daemon() as daemon:
            october = self._materialize(
                instance,
                "1. October: Mia's model, trained on January to August, is promoted and serves",
                run_config(first_month=1, last_month=8, month=10),
                job="everything",
                user="mia",
            )
            expect(october, ran=FEATURES | MODEL | SERVED | {"live_flights"}, moved="promotion")
            november = self._materialize(
                instance,
                "2. November: it still does what it promised",
                run_config(month=11),
                job="serve",
                user="mia",
            )
            expect(november, ran=SERVED | {"live_flights"})
            fresh = self._materialize(
                instance,
                "3. Still November: Tom trains on September alone, which promises more, and is promoted",
                run_config(first_month=9, last_month=9, month=11),
                job="everything",
                user="tom",
            )
            expect(fresh, ran=MODEL | SERVED, hit=FEATURES | {"live_flights"}, moved="promotion")
            back = self._await_rollback(instance, daemon)
            expect(back, hit=SERVED, moved="rollback")
        check_quality(october, november, fresh, back)
        check_same(november, fresh, back)
        print("What stands downstream has the content of step 2 again, by its hash:")
        print(", ".join(f"{asset} {back[asset].data_version[:12]}" for asset in sorted(SERVED)))
        heading("In short")
        print_quality(october, november, fresh, back)
        print("\nThe checked figures of a month come out about two months later: in November, September is the newest.")
        print("It is the calmest month of the year: who knows no other one expects flights to make up time.")
        self._print_command("mlrepro", "history", "arrival_model", "--channel", "production", "--scope", "quality")
        compare = ("mlrepro", "compare", "arrival_model", "v1", "v2", "--scope", "quality")
        self._print_command(*compare)
        self._print_command(*compare, "--html", str(shown(self.page)))
        if not self.page.exists():
            raise DemoFailedError(f"there is no page at {shown(self.page)}")
        print(f"\nThe comparison is in {shown(self.page)}: open it in a browser.")
        print(f"All of it took {time.monotonic() - start:.0f} s, and did what it says.")

    def _start_afresh(self) -> None:
        for part in (self.home, self.logs):
            shutil.rmtree(part, ignore_errors=True)
        self.page.unlink(missing_ok=True)
        self.prepare()
        self.logs.mkdir()
        print("A model is promoted where it passes its gate. A sensor watches what it is worth in service.")
        print(f"Everything is in {shown(self.folder)}: Dagster's home, the store, logs.")

    @contextlib.contextmanager
    def _daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run Dagster's daemon, which starts the code location's server, until the block ends."""
        command = [program("dagster-daemon"), "run", *LOCATION]
        with (self.logs / "daemon.log").open("w") as log:
            daemon = subprocess.Popen(
                command,
                cwd=HERE / "locations",
                env={**self.environment(), "MLREPRO_USER": "daemon"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that what it starts can be stopped with it
            )
            try:
                yield daemon
            finally:
                stop(daemon)

    def _materialize(
        self, instance: dg.DagsterInstance, title: str, config: Mapping[str, object], *, job: str, user: str
    ) -> Results:
        """Run a job in a process of its own, as a scheduler would, and print what became of its assets."""
        heading(title)
        log = self.logs / f"{title.split('.', maxsplit=1)[0]}-{job}.log"
        settings = log.with_suffix(".yaml")
        settings.write_text(json.dumps(config))  # which is YAML as well
        command = [program("dagster"), "job", "execute", *LOCATION, "-j", job, "-c", str(settings)]
        with log.open("w") as output:
            done = subprocess.run(
                [*command, "--tags", json.dumps({"user": user})],
                cwd=HERE / "locations",
                env=self.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            raise DemoFailedError(f"the run failed, see {shown(log)}")
        run = instance.get_runs(dg.RunsFilter(job_name=job), limit=1)[0]
        results = results_of(instance, run)
        print_results(results)
        return results

    def _await_rollback(self, instance: dg.DagsterInstance, daemon: subprocess.Popen[bytes]) -> Results:
        """Wait until the sensor has rolled back and what stands downstream is back; print how."""
        heading("4. The sensor sees it, nobody has to do anything")
        start = time.monotonic()

        def finished() -> dg.DagsterRun | None:
            if daemon.poll() is not None:
                raise DemoFailedError(f"the daemon stopped, see {shown(self.logs / 'daemon.log')}")
            runs = instance.get_runs(dg.RunsFilter(job_name="rollback"), limit=1)
            return runs[0] if runs and runs[0].is_finished else None

        run = await_(finished, f"no rollback has finished, see {shown(self.logs / 'daemon.log')}")
        if (count := instance.get_runs_count(dg.RunsFilter(job_name="rollback"))) != 1:
            raise DemoFailedError(f"there should have been one rollback, not {count}")
        if run.status is not dg.DagsterRunStatus.SUCCESS:
            raise DemoFailedError(f"the rollback's run {run.run_id} ended as {run.status.value}")
        results = dict(results_of(instance, run))
        for cascade in instance.get_runs(dg.RunsFilter(tags={"mlrepro/cascade_of": CHANNEL})):
            results |= results_of(instance, cascade)
        print_results(results)
        print(f"\nback {time.monotonic() - start:.0f} s after the end of Tom's run")
        return results


def check_quality(october: Results, november: Results, fresh: Results, back: Results) -> None:
    """Check that the story is true: better in its own month, worse in service, by a margin that is no accident.

    Raises:
        DemoFailedError: If it is not.
    """
    if quality(fresh, "evaluation") < quality(october, "evaluation") + 0.03:
        raise DemoFailedError("the model of September does not promise more than the one before")
    if quality(fresh) > quality(november) - 0.02:
        raise DemoFailedError("the model of September is not worse in service")
    if quality(back) != quality(november):
        raise DemoFailedError(f"after the rollback {METRIC} is {quality(back)}, not {quality(november)} as before")


def check_same(good: Results, bad: Results, back: Results) -> None:
    """Check by its content that what stands downstream is what the good model had made.

    Raises:
        DemoFailedError: If it is not.
    """
    for asset in sorted(SERVED):
        if back[asset].data_version != good[asset].data_version:
            raise DemoFailedError(f"{asset} did not return to what the good model had made")
        if back[asset].data_version == bad[asset].data_version:
            raise DemoFailedError(f"{asset} was the same with the bad model")


def run_config(
    *, month: int, first_month: int | None = None, last_month: int | None = None
) -> dict[str, dict[str, object]]:
    """Configure a run: the month that is served, and the months to train on, where it trains."""
    ops: dict[str, object] = {"live_flights": {"config": {"month": month}}}
    if first_month is not None:
        ops["arrival_model"] = {"config": {"first_month": first_month, "last_month": last_month}}
    return {"ops": ops}


def results_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Results:
    """Read from Dagster's event log what a run materialized, in order."""
    results = {}
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        made = entry.asset_materialization
        assert made is not None
        facts = {name: value.value for name, value in made.metadata.items()}
        results[made.asset_key.to_user_string()] = Result((made.tags or {})["dagster/data_version"], facts)
    return results


def print_results(results: Results) -> None:
    """Print what became of each asset, and what the model promises and is worth."""
    rows = [{"asset": asset, "outcome": result.outcome, "why": result.why} for asset, result in results.items()]
    print(tabulate(rows, headers="keys"))
    print()
    for asset, words in (("evaluation", "promised, on days held out"), ("live_quality", "in service")):
        if asset in results:
            print(f"{words}: {quality(results, asset):.1%} of flights arrive within 10 minutes of the prediction")


def print_quality(october: Results, november: Results, fresh: Results, back: Results) -> None:
    """Print what each model promised and what it was worth."""
    rows = [
        ("v1, trained on January to August", "held-out days of its months", october, "evaluation"),
        ("", "October", october, "live_quality"),
        ("", "November", november, "live_quality"),
        ("v2, trained on September", "held-out days of its month", fresh, "evaluation"),
        ("", "November", fresh, "live_quality"),
        ("v1, after the rollback", "November", back, "live_quality"),
    ]
    table = [
        (model, month, quality(results, asset), results[asset].facts["later_than_predicted"])
        for model, month, results, asset in rows
    ]
    headers = ["model", "judged on", "within 10 minutes", "minutes later than predicted"]
    print(tabulate(table, headers=headers, floatfmt=("", "", ".4f", ".1f")))


def quality(results: Results, asset: str = "live_quality") -> float:
    """The metric that the channel is watched by."""
    return float(str(results[asset].facts[METRIC]))


def expect(
    results: Results,
    *,
    ran: set[str] = frozenset(),
    hit: set[str] = frozenset(),
    moved: str | None = None,
) -> None:
    """Check what became of each asset.

    Raises:
        DemoFailedError: If it was something else.
    """
    expected = dict.fromkeys(ran, "ran") | dict.fromkeys(hit, "hit") | ({CHANNEL: moved} if moved else {})
    found = {asset: result.outcome for asset, result in results.items()}
    if found != expected:
        wrong = sorted(asset for asset in found.keys() | expected.keys() if found.get(asset) != expected.get(asset))
        said = "; ".join(
            f"{asset}: {found.get(asset, 'nothing')}, not {expected.get(asset, 'there')}" for asset in wrong
        )
        raise DemoFailedError(f"not what should have happened: {said}")


def await_(ask: Callable[[], Found | None], otherwise: str) -> Found:
    """Ask until there is an answer.

    Raises:
        DemoFailedError: If there is none in time.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if (answer := ask()) is not None:
            return answer
        time.sleep(0.25)
    raise DemoFailedError(f"{otherwise} ({WAIT_SECONDS} s)")


def program(name: str) -> str:
    """Find a program of this environment."""
    return str(Path(sys.executable).with_name(name))


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Run the demo, or open its project in Dagster's UI."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["run", "ui"], nargs="?", default="run")
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".demo" / "rollback", help="made anew by run")
    parser.add_argument("--port", type=int, default=3000, help="of the UI")
    given = parser.parse_args()
    demo = RollbackDemo(given.folder.absolute())
    if given.command == "ui":
        if not demo.home.exists():
            sys.exit("there is nothing to show yet: make rollback-demo")
        open_project(demo.folder, demo.home, ["quality"], port=given.port, environment=demo.environment())
        return
    try:
        demo.run()
    except DemoFailedError as failed:
        sys.exit(f"\nThe demo FAILED: {failed}")


if __name__ == "__main__":
    main()
