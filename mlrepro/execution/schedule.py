"""The order in which the steps of a plan can be looked at: each once those before it are known."""

from collections import deque
from collections.abc import Mapping
from typing import cast

from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep


class Schedule:
    """Tells which step is next, while others are still looked up.

    Args:
        plan: The plan.

    Attributes:
        dependencies: Keys of the steps before each step.
        levels: The steps level by level.
    """

    def __init__(self, plan: ExecutionPlan) -> None:
        self.dependencies: Mapping[str, set[str]] = plan.get_executable_step_deps()
        self.levels = _levels(plan, self.dependencies)
        self._ready = deque(self.levels[0] if self.levels else ())
        self._missing = {key: len(before) for key, before in self.dependencies.items()}
        self._after: dict[str, list[ExecutionStep]] = {}
        for step in (step for level in self.levels for step in level):
            for key in self.dependencies[step.key]:
                self._after.setdefault(key, []).append(step)

    def next(self) -> ExecutionStep | None:
        """Take a step that nobody took and that waits for none; None while there is no such step."""
        return self._ready.popleft() if self._ready else None

    def known(self, step: ExecutionStep) -> None:
        """Note that a step is known, so that those after it may be next."""
        for after in self._after.get(step.key, ()):
            self._missing[after.key] -= 1
            if not self._missing[after.key]:
                self._ready.append(after)


def _levels(plan: ExecutionPlan, dependencies: Mapping[str, set[str]]) -> list[list[ExecutionStep]]:
    """Steps level by level: each one level above the highest that it depends on, by key within a level.

    As Dagster's own list of levels, which goes through all steps that are left once a level.
    """
    depths: dict[str, int] = {}
    waiting = list(dependencies)
    while waiting:
        key = waiting[-1]
        if key in depths:
            waiting.pop()
        elif before := [each for each in dependencies[key] if each not in depths]:
            waiting += before
        else:
            depths[key] = 1 + max((depths[each] for each in dependencies[key]), default=-1)
    levels: list[list[ExecutionStep]] = [[] for _ in range(1 + max(depths.values(), default=-1))]
    for key in sorted(depths):
        levels[depths[key]].append(cast("ExecutionStep", plan.step_dict_by_key[key]))
    return levels
