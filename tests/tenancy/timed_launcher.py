"""A run launcher whose runs take a given time, so that waiting can be measured apart from work."""

import threading
from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData


class TimedRunLauncher(RunLauncher[dg.DagsterInstance], ConfigurableClass):
    def __init__(self, seconds: float, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__()
        self._seconds, self._inst_data = seconds, inst_data

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {"seconds": float}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        run, instance = context.dagster_run, self._instance
        _report(instance, run, dg.DagsterEventType.RUN_START)
        timer = threading.Timer(self._seconds, _report, (instance, run, dg.DagsterEventType.RUN_SUCCESS))
        timer.daemon = True
        timer.start()

    def terminate(self, run_id: str) -> bool:
        return False


def _report(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: dg.DagsterEventType) -> None:
    instance.report_dagster_event(dg.DagsterEvent(kind.value, run.job_name), run_id=run.run_id)
