"""Runs whose own pod does not start: told in the run's log, and ended in time.

Dagster's run monitoring sees them only when its start timeout is over, and then does not say why.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg
from dagster._core.storage.dagster_run import DagsterRun, DagsterRunStatus, RunsFilter

from mlrepro.execution.pods.answers import told_by
from mlrepro.execution.pods.diagnosis import View, trouble
from mlrepro.execution.pods.endings import ending
from mlrepro.execution.pods.last_lines import last_lines
from mlrepro.execution.pods.observing import Observer
from mlrepro.execution.pods.outage import Outage
from mlrepro.execution.pods.trouble import Bounds
from mlrepro.execution.pods.waits import Wait

RUN_WORKERS: Final = "app.kubernetes.io/component=run_worker"
"""Labels of the pods that run runs."""

_logger = logging.getLogger("mlrepro")


@dataclass
class _Watched:
    namespace: str
    job: str
    wait: Wait = field(default_factory=Wait)


class RunWorkerWatch:
    """Watches the pods of runs from their launch until they run, from a thread of the launcher's process.

    The thread is there only while a run is being started. If the process ends, run monitoring is left.

    Args:
        instance: Gives the Dagster instance, or raises when it is gone.
        client: dagster-k8s' client.
        bounds: How long troubles may last.
    """

    def __init__(self, instance: Callable[[], dg.DagsterInstance], client: Any, bounds: Bounds) -> None:
        self._instance = instance
        self._client = client
        self._bounds = bounds
        self._observers: dict[str, Observer] = {}
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._outage = Outage()

    def add(self, run_id: str, namespace: str, job: str) -> None:
        """Watch a run whose Job was made just now."""
        with self._lock:
            self._watched[run_id] = _Watched(namespace, job)
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._go, name="run workers that start", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=self._bounds.every + 1)

    def _go(self) -> None:
        while not self._stop.wait(self._bounds.every):
            with self._lock:
                watched = dict(self._watched)
                if not watched:
                    self._thread = None
                    return
            try:
                done = self._round(self._instance(), watched)
                if said := self._outage.back():
                    _logger.warning(said)
            except Exception as error:  # noqa: BLE001 -- a look that fails ends no run
                if said := self._outage.away(told_by(error)):
                    _logger.warning(said)
                continue
            with self._lock:
                for run_id in done:
                    if self._watched.get(run_id) is watched[run_id]:
                        del self._watched[run_id]

    def _round(self, instance: dg.DagsterInstance, watched: dict[str, _Watched]) -> list[str]:
        """Look once at all; the runs that need no more looking at."""
        runs = {run.run_id: run for run in instance.get_runs(RunsFilter(run_ids=list(watched)))}
        views: dict[str, dict[str, View]] = {}
        for namespace in {each.namespace for each in watched.values()}:
            observer = self._observers.setdefault(namespace, Observer(self._client, namespace, RUN_WORKERS))
            views[namespace] = observer.look()
        return [
            run_id
            for run_id, each in watched.items()
            if self._done(instance, runs.get(run_id), each, views[each.namespace].get(each.job))
        ]

    def _done(self, instance: dg.DagsterInstance, run: DagsterRun | None, each: _Watched, view: View | None) -> bool:
        if run is None or run.is_finished or run.status is DagsterRunStatus.CANCELING:
            return True
        if view is None or view.runs:
            return run.status is not DagsterRunStatus.STARTING  # else it may still end before it tells of its start
        if view.failed:
            said = how_it_ended(self._client, each.namespace, view, self._observers[each.namespace])
            return self._fail(instance, run, each, said)
        found = trouble(view)
        if found is None:
            return False
        bound = self._bounds.seconds(found.patience)
        if each.wait.note(found.sentence):
            instance.report_engine_event(f"The run's pod does not run: {found.sentence}.", run, cls=type(self))
        lasted = each.wait.lasted(found.patience)
        if lasted < bound:
            return False
        return self._fail(instance, run, each, found.sentence + (f" (given up after {lasted:.0f} s)" if bound else ""))

    def _fail(self, instance: dg.DagsterInstance, run: DagsterRun, each: _Watched, why: str) -> bool:
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.status is not run.status:
            return False  # it moved on in this very moment
        try:
            self._client.delete_job(job_name=each.job, namespace=each.namespace)
        except Exception as error:  # noqa: BLE001 -- the run has failed all the same
            _logger.warning(f"the Job {each.job} could not be deleted: {told_by(error)}")
        instance.report_run_failed(now, f"The run's pod does not run: {why}")
        return True


def how_it_ended(client: Any, namespace: str, view: View, observer: Observer) -> str:
    """Why a failed Job's pod ended, with what it wrote last where that may say more."""
    found = ending(view.job, view.pod, observer.events_of(view) if view.pod is None else ())
    return found.sentence + ("" if found.told_in_full else last_lines(client, namespace, view.pod))
