import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrepro.versioning import InputHashParts, InputVersion, OutputDeclaration, canonical_json, digest, input_hash

GOLDEN = Path(__file__).parent / "golden_input_hashes.json"

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def typed(value: Any) -> Any:
    """The value with every type spelled out, so that 1, 1.0 and True are told apart."""
    if isinstance(value, dict):
        return ("dict", tuple(sorted((key, typed(item)) for key, item in value.items())))
    if isinstance(value, list):
        return ("list", tuple(map(typed, value)))
    return (type(value).__name__, repr(value))


class TestCanonicalText:
    @given(plain, plain)
    def test_equal_texts_mean_equal_values(self, one: Any, other: Any) -> None:
        assert (canonical_json(one) == canonical_json(other)) == (typed(one) == typed(other))

    @given(st.dictionaries(st.text(), plain, min_size=2))
    def test_order_of_keys_does_not_count(self, value: dict[str, Any]) -> None:
        assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)

    def test_a_key_cannot_forge_a_mark(self) -> None:
        assert canonical_json({"$float": "nan"}) != canonical_json(math.nan)

    @pytest.mark.parametrize("value", [{1: "x"}, b"bytes", {1, 2}, object()])
    def test_what_has_no_canonical_form_is_refused(self, value: Any) -> None:
        with pytest.raises(TypeError, match="canonical"):
            canonical_json(value)


FULL = InputHashParts(
    code="a" * 64,
    config={"C": 1.0, "nested": {"deep": [1, None, "x"]}},
    inputs={
        "features": InputVersion("b" * 64, loaded_as="polars:DataFrame", code="c" * 64),
        "parts": InputVersion({"2026-01-01": "d" * 64, "2026-01-02": "e" * 64}),
    },
    dependencies={"team/table": "f" * 64},
    resources={"warehouse": "1" * 64},
    outputs={"result": OutputDeclaration("float", "json")},
    partition=("2026-01-02",),
    surroundings={"assets": ["team/model"]},
    seed=7,
    salt="s",
)


class TestInputHash:
    def test_golden_keys_stay_as_they_were_released(self) -> None:
        """A change here is a change of the key format: bump SCHEMA on purpose, and add to the file."""
        golden = json.loads(GOLDEN.read_text())
        assert input_hash(InputHashParts(code="a" * 64)) == golden["1: code only"]
        assert input_hash(FULL) == golden["1: every part"]

    @pytest.mark.parametrize(
        "change",
        [
            {"code": "b" * 64},
            {"config": {"C": 1, "nested": {"deep": [1, None, "x"]}}},
            {"inputs": {"features": InputVersion("b" * 64)}},
            {"inputs": {**FULL.inputs, "other": FULL.inputs["features"]}},
            {"inputs": {"parts": FULL.inputs["features"], "features": FULL.inputs["parts"]}},
            {"inputs": {**FULL.inputs, "features": dataclasses.replace(FULL.inputs["features"], loaded_as=None)}},
            {"inputs": {**FULL.inputs, "features": dataclasses.replace(FULL.inputs["features"], code=None)}},
            {"dependencies": {"team/table": "0" * 64}},
            {"dependencies": {"other/table": "f" * 64}},
            {"resources": {}},
            {"outputs": {"result": OutputDeclaration("int", "json")}},
            {"outputs": {"result": OutputDeclaration("float")}},
            {"outputs": {"other": OutputDeclaration("float", "json")}},
            {"partition": None},
            {"partition": ("2026-01-03",)},
            {"partition": ()},
            {"surroundings": None},
            {"dependencies": {"team/table": {"a": "f" * 64}}},
            {"seed": None},
            {"seed": 8},
            {"salt": ""},
        ],
        ids=str,
    )
    def test_every_part_counts(self, change: dict[str, Any]) -> None:
        assert input_hash(dataclasses.replace(FULL, **change)) != input_hash(FULL)

    @given(plain, plain)
    def test_configs_that_differ_give_keys_that_differ(self, one: Any, other: Any) -> None:
        keys = [input_hash(InputHashParts(code="c", config=config)) for config in (one, other)]
        assert (keys[0] == keys[1]) == (typed(one) == typed(other))

    def test_digest_is_sha256_of_the_text(self) -> None:
        assert digest([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
