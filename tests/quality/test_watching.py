"""What a sensor remembers over ticks is what a look at the whole log would find."""

import datetime as dt
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mlrepro import Metric
from mlrepro.quality.memory import Memory, Watch
from mlrepro.quality.watching import look
from tests.quality.lab import ModelLab

LIVE = Metric("live_quality", "auc")
IN_WINDOWS = (LIVE < 0.5).in_windows(2, of=3)
DROPPED = LIVE.dropped_by(0.2, median_of=3)

VALUES = st.sampled_from([0.1, 0.4, 0.6, 0.9])
STEPS = st.lists(st.one_of(VALUES, st.sampled_from(["tick", "tick without cursor", "move"])), max_size=25)


@given(steps=STEPS)
@settings(max_examples=40, deadline=None)
def test_windows_over_ticks_are_windows_over_the_log(steps: Sequence[float | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lab = ModelLab(Path(folder))
        entry = lab.promote(0)
        watch = Watch()
        watch.begin(entry.number, entry.when.timestamp())
        values: list[float] = []
        for step in [*steps, "tick"]:
            if isinstance(step, float):
                lab.report("live_quality", auc=step)
                values.insert(0, step)
            elif step == "move":
                entry = lab.promote(entry.number)
                watch.begin(entry.number, entry.when.timestamp())
                values = []
            else:
                if step == "tick without cursor":
                    watch = Watch(entry=watch.entry, moved=watch.moved)
                since = dt.datetime.fromtimestamp(watch.moved, dt.UTC)
                view = look(lab.view(channel=entry, since=since), watch, [IN_WINDOWS, DROPPED])
                assert IN_WINDOWS.judge(view).holds == (sum(value < 0.5 for value in values[:3]) >= 2)
                told = len(values) > 3
                assert DROPPED.judge(view).known is told
                assert DROPPED.judge(view).holds == (told and statistics.median(values[1:4]) - values[0] > 0.2001)
                dumped = Memory({"_": watch}).dump()
                watch = Memory.load(dumped).watches["_"]
                assert Memory({"_": watch}).dump() == dumped
