"""What a record says of its key, and the reasons that stay as they are."""

import json
import re
from typing import Any

import pytest

from mlrepro.io_managers import reasons
from mlrepro.io_managers.key import StepKey
from mlrepro.io_managers.key_record import key_record
from mlrepro.io_managers.lookup import Miss
from mlrepro.io_managers.reasons import explain, explained
from mlrepro.store import open_store
from mlrepro.versioning import CodeFingerprint, InputHashParts, InputVersion, OutputDeclaration, digest

NONE_YET = Miss("no result has this input hash yet", unknown=True)


def key(**parts: Any) -> StepKey:
    return StepKey(
        input_hash="a" * 64,
        code=CodeFingerprint("c" * 64, names=parts.pop("names", frozenset())),
        config={"C": 1.0},
        inputs={},
        partitions=parts.pop("partitions", None),
        uncacheable=None,
        parts=InputHashParts(code="c" * 64, **parts),
        value_codes={"x": {"pandas": "2.2.0"}},
    )


class TestWhatARecordSaysOfItsKey:
    def test_parts_that_a_key_does_not_have_are_left_out(self) -> None:
        assert key_record(key())["key_parts"] == {"partition": False}

    def test_parts(self) -> None:
        given = key(
            inputs={"x": InputVersion("json:4f53", "pandas.DataFrame", "c0de")},
            outputs={"result": OutputDeclaration("float", "json")},
            partition=["a"],
            salt="again",
            names=frozenset({"math.sqrt"}),
        )
        parts = key_record(given)["key_parts"]
        assert parts["inputs"] == {
            "x": {"content": digest("json:4f53")[:12], "loaded_as": "pandas.DataFrame", "code": {"pandas": "2.2.0"}}
        }
        assert parts["outputs"] == {"result": {"type": "float", "format": "json"}}
        assert parts["partition"] is True
        assert re.fullmatch(r"\w+ 3\.\d+", parts["python"])
        assert parts["salt"] == digest("again")[:12]

    def test_what_may_hold_a_secret_is_hashed_slowly_and_under_its_name(self) -> None:
        secret = digest("hunter2")
        parts = key_record(key(resources={"db": secret, "api": secret}, surroundings={"run_tags": {"t": "hunter2"}}))
        text = json.dumps(parts)
        for known in ("hunter2", secret[:12], digest({"t": "hunter2"})[:12]):
            assert known not in text
        hidden = parts["key_parts"]["resources"]
        assert len({*hidden.values()}) == 2
        assert all(re.fullmatch("[0-9a-f]{12}", value) for value in hidden.values())

    def test_secrets_are_not_in_what_a_traceback_would_show(self) -> None:
        assert "hunter2" not in repr(key(config={"password": "hunter2"}))

    def test_is_json(self) -> None:
        given = key(partitions=("a", "b"))
        assert json.loads(json.dumps(key_record(given)))["partitions"] == ["a", "b"]


class TestReason:
    def test_of_another_kind_stays(self) -> None:
        off = Miss("the cache is switched off for this run")
        assert explained(off, open_store("memory://reasons-off"), [["model"]], key()) is off

    def test_of_a_first_result(self) -> None:
        store = open_store("memory://reasons-first")
        assert explain(store, ["model"], "2026-01-01", key()).changes == ()
        assert explained(NONE_YET, store, [["model"]], key()).reason == "first result of this asset"
        partitioned = explained(NONE_YET, store, [["model"]], key(partitions=("a", "b")))
        assert partitioned.reason == "first result of this asset (partition a)"

    def test_stays_where_explaining_fails_in_any_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(reasons, "explain", fail)
        assert explained(NONE_YET, open_store("memory://reasons-fail"), [["model"]], key()) is NONE_YET

    def test_leaves_the_rest_of_the_miss(self) -> None:
        found = explained(NONE_YET, open_store("memory://reasons-rest"), [["model"]], key())
        assert (found.warning, found.supersedes, found.lost, found.unknown) == (False, False, (), True)
