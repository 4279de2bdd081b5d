"""Plain functions as gates and as conditions of a sensor."""

from collections.abc import Callable
from typing import Any

import pytest

from mlrepro.errors import ConditionError
from mlrepro.quality import Verdict, View, as_alarm, as_gate
from tests.quality.lab import ModelLab


def answering(answer: Any) -> Callable[[View], Any]:
    def enough_rows(view: View) -> Any:
        return answer

    return enough_rows


@pytest.mark.parametrize(
    ("answer", "passes", "alarms"),
    [
        (True, True, True),
        (False, False, False),
        ("too few rows", False, True),
        (None, False, False),
        (Verdict(holds=True, said="fine"), True, True),
        (Verdict.unknown("no idea"), False, False),
    ],
)
def test_answers(model_lab: ModelLab, answer: Any, passes: bool, alarms: bool) -> None:
    assert as_gate(answering(answer)).judge(model_lab.view()).passes is passes
    assert as_alarm(answering(answer)).judge(model_lab.view()).alarms is alarms


def test_numpy_answers(model_lab: ModelLab) -> None:
    numpy = pytest.importorskip("numpy")
    assert as_gate(answering(numpy.float64(3) > 2)).judge(model_lab.view()).passes
    assert not as_gate(answering(numpy.float64(1) > 2)).judge(model_lab.view()).passes


def test_says_its_name_and_what_is_wrong(model_lab: ModelLab) -> None:
    gate = as_gate(answering("too few rows"))
    assert (str(gate), gate.judge(model_lab.view()).said) == ("enough_rows", "enough_rows: too few rows")
    assert "return True" in as_gate(answering(None)).judge(model_lab.view()).said


def test_answer_that_means_nothing(model_lab: ModelLab) -> None:
    with pytest.raises(ConditionError, match="enough_rows returned a float"):
        as_gate(answering(0.5)).judge(model_lab.view())


def test_reads_metrics(model_lab: ModelLab) -> None:
    model_lab.report("evaluation", auc=0.6, rows=12)
    gate = as_gate(lambda view: view.value("evaluation", "rows") > 10)
    assert gate.judge(model_lab.view()).passes
    assert model_lab.view().value("evaluation", "f1") is None
    assert model_lab.view().value("nothing", "f1") is None
