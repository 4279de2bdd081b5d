import enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrepro.io_managers.config import plain_config, redacted, without_fields


class Color(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("one", "other"), [({7: "x"}, {"7": "x"}), (Color.RED, "Color.RED"), ([1], 1), (1, True), (1, 1.0), (None, "None")]
)
def test_configs_that_differ_stay_different(one: Any, other: Any) -> None:
    assert repr(plain_config(one)) != repr(plain_config(other))


def test_ignored_fields_are_left_out_at_any_depth() -> None:
    config = {"a": 1, "b": {"a": 2, "c": {"d": 3, "e": 4}}}
    assert without_fields(config, ["a", "b.c.d"]) == {"b": {"a": 2, "c": {"e": 4}}}


def test_environment_variables_are_named_never_shown() -> None:
    config = {"password": "hunter2", "hosts": [{"key": "hunter2"}], "plain": "x", "port": 5432}
    shown = redacted(config, {"hunter2": "PW", "5432": "PORT"})
    assert "hunter2" not in repr(shown)
    assert shown["plain"] == "x"
    assert shown["password"]["env"] == shown["hosts"][0]["key"]["env"] == "PW"
    assert shown["port"]["env"] == "PORT"


@given(st.text(), st.text())
def test_a_secret_that_changed_shows_as_changed(one: str, other: str) -> None:
    shown = [redacted({"p": secret}, {secret: "PW"})["p"]["sha256"] for secret in (one, other)]
    assert (shown[0] == shown[1]) == (one == other)
