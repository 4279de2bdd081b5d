"""What makes two keys differ, from what their records say, and in words."""

from typing import Any

import pytest

from mlrepro.versioning import Change, Evidence, differences, key_changes, say, sentence


def source(name: str, text: str, file: str = "m.py") -> dict[str, object]:
    return {"name": name, "file": file, "line": 1, "text": text}


def code(fingerprint: str, *sources: dict[str, object], **distributions: str) -> Evidence:
    record = {"code": {"fingerprint": fingerprint, "distributions": distributions}}
    return Evidence(record, sources)


def said(before: Evidence, after: Evidence) -> str:
    return sentence(key_changes(before, after))


def of(**record: Any) -> Evidence:
    return Evidence(record)


class TestCode:
    def test_sources_do_not_matter_while_the_fingerprint_is_the_same(self) -> None:
        assert key_changes(code("a", source("m:f", "F = 1")), code("a", source("m:f", "F = 2"))) == []

    def test_moved_to_another_module(self) -> None:
        text = "def f(x):\n    return x"
        before = code("a", source("m:f", text), source("m:K", "K = 1"))
        after = code("b", source("p.m:f", text, "p/m.py"), source("p.m:K", "K = 2", "p/m.py"))
        assert said(before, after) == "`K` in p/m.py changed"

    def test_hints_count_where_nothing_else_differs(self) -> None:
        before = code("a", source("m:f", "def f(x: int): return x"))
        after = code("b", source("m:f", "def f(x: str): return x"))
        assert said(before, after) == "`f()` in m.py changed"

    def test_but_not_where_a_library_explains_it(self) -> None:
        before = code("a", source("m:f", "def f(x: int): return x"), pandas="2.2.0")
        after = code("b", source("m:f", "def f(x: str): return x"), pandas="2.2.1")
        assert said(before, after) == "pandas 2.2.0 -> 2.2.1"

    def test_decorators_of_others_count(self) -> None:
        before = code("a", source("m:f", "@dg.asset(x=1)\n@cached(1)\ndef f(): ..."))
        after = code("b", source("m:f", "@above\n@dg.asset(x=2)\n@cached(2)\ndef f(): ..."))
        assert said(before, after) == "`f()` in m.py changed"
        only_ours = code("b", source("m:f", "@above\n@dg.asset(x=2)\n@cached(1)\ndef f(): ..."))
        assert said(before, only_ours) == "a value, file or environment variable that the code uses changed"

    def test_without_sources(self) -> None:
        assert said(code("a"), code("b", source("m:f", "F = 1"))) == "the code changed"

    def test_methods_lambdas_and_what_is_defined_inside(self) -> None:
        names = ("m:<lambda>", "m:A.f", "m:make.<locals>.inner")
        before = code("a", *[source(name, "def f(): return 1") for name in names])
        after = code("b", *[source(name, "def f(): return 2") for name in names])
        assert said(before, after) == (
            "a lambda in m.py changed; `A.f()` in m.py changed; `make.inner()` in m.py changed"
        )

    def test_two_lambdas_of_one_module(self) -> None:
        before = code("a", source("m:<lambda>", "f = lambda: 1"), source("m:<lambda>", "g = lambda: 1"))
        after = code("b", source("m:<lambda>", "f = lambda: 2"), source("m:<lambda>", "g = lambda: 1"))
        assert said(before, after) == "a lambda in m.py changed"

    def test_text_that_does_not_parse_is_compared_as_it_is(self) -> None:
        assert said(code("a", source("m:f", "lambda x: x)")), code("b", source("m:f", "lambda x: -x)"))) == (
            "`f` in m.py changed"
        )

    @pytest.mark.parametrize(
        ("before", "after", "text"),
        [
            ({}, {"numpy": "2.0"}, "numpy 2.0 is new"),
            ({"numpy": "2.0"}, {}, "numpy 2.0 is no longer used"),
            ({"lib": "sha256:aa"}, {"lib": "sha256:bb"}, "lib changed"),
        ],
    )
    def test_library(self, before: dict[str, str], after: dict[str, str], text: str) -> None:
        same = source("m:F", "F = 1")
        assert said(code("a", same, **before), code("b", same, **after)) == text


class TestConfig:
    @pytest.mark.parametrize(
        ("before", "after", "text"),
        [
            ({"C": 1}, {"C": 1.0}, "config C: 1 -> 1.0"),
            ({"C": 1}, {"C": True}, "config C: 1 -> True"),
            ({}, {"C": None}, "config C changed"),
            ({"g": {}}, {"g": {"a": 1}}, "config g.a: none -> 1"),
            ({}, {"g": {}}, "config g: none -> {}"),
            ({"g": [1]}, {"g": [1, 2]}, "config g: [1] -> [1, 2]"),
            ({"t": "x" * 90 + "a"}, {"t": "x" * 90 + "b"}, "config t changed"),
            ({"e": {"enum": "Kernel.RBF"}}, {"e": {"enum": "Kernel.POLY"}}, "config e: Kernel.RBF -> Kernel.POLY"),
            (1, 2, "config: 1 -> 2"),
            (None, {"C": 1}, "config C: none -> 1"),
        ],
    )
    def test_field(self, before: Any, after: Any, text: str) -> None:
        assert said(of(config=before), of(config=after)) == text

    def test_secret(self) -> None:
        one, two = ({"env": "PW", "sha256": hashed} for hashed in ("f52fbd32b2b3", "0123456789ab"))
        (change,) = key_changes(of(config={"p": one}), of(config={"p": two}))
        assert (change.before, change.after) == ({"env": "PW"}, {"env": "PW"})
        assert say(change) == "config p (from PW) changed"
        (change,) = key_changes(of(config={"p": "plain"}), of(config={"p": two}))
        assert (change.before, change.after) == (None, {"env": "PW"})
        (change,) = key_changes(of(config={"hosts": [one]}), of(config={"hosts": [two, two]}))
        assert "sha256" not in repr(change)

    def test_secret_that_is_the_same_from_elsewhere(self) -> None:
        before, after = {"env": "PW", "sha256": "f52fbd32b2b3"}, {"env": "PASSWORD", "sha256": "f52fbd32b2b3"}
        assert key_changes(of(config={"p": before}), of(config={"p": after})) == []
        assert key_changes(of(config={"p": "hunter2"}), of(config={"p": after})) == []


class TestInputs:
    def test_other_version_of_the_same_content_is_no_change(self) -> None:
        before, after = ({"x": {"asset": "x", "content_hash": "c" * 64, "version": number}} for number in (1, 2))
        assert key_changes(of(inputs=before), of(inputs=after)) == []

    def test_argument_that_is_new_or_gone(self) -> None:
        given = {"x": {"asset": "x", "content_hash": "c" * 64, "version": 1}}
        assert said(of(inputs={}), of(inputs=given)) == "input x is new"
        assert said(of(inputs=given), of(inputs={})) == "input x is gone"

    def test_number_of_another_store(self) -> None:
        before, after = ({"x": {"asset": "x", "content_hash": letter * 64, "version": 1}} for letter in "ab")
        assert said(of(inputs=before), of(inputs=after)) == "input x: v1 (aaaaaaaaaaaa) -> v1 (bbbbbbbbbbbb)"

    def test_same_bytes_in_another_format(self) -> None:
        record = {"inputs": {"x": {"asset": "x", "content_hash": "c" * 64, "version": 1}}}
        before, after = (of(**record, key_parts={"inputs": {"x": {"content": content}}}) for content in "ab")
        assert said(before, after) == "input x is in another format"

    def test_one_partition_that_was_not_there(self) -> None:
        nothing = {"x": {"asset": "x", "content_hash": {}, "version": {}}}
        one = {"x": {"asset": "x", "content_hash": "c" * 64, "version": 1}}
        two = {"x": {"asset": "x", "content_hash": {"a": "c", "b": "d"}, "version": {"a": 1, "b": 1}}}
        three = {"x": {"asset": "x", "content_hash": {"a": "c", "b": "d", "c": "e"}, "version": {"c": 4}}}
        assert said(of(inputs=nothing), of(inputs=one)) == "input x: nothing -> v1"
        assert said(of(inputs=one), of(inputs=two)) == "input x: v1 -> 2 partitions"
        assert said(of(inputs=two), of(inputs=three)) == "input x: partition c is new"


class TestParts:
    def test_unknown_parts_of_an_older_record_are_no_change(self) -> None:
        assert key_changes(of(), of(key_parts={"resources": {"db": "1f"}, "salt": "aa"})) == []

    def test_partition_counts_only_where_the_function_sees_it(self) -> None:
        before, after = ({"partitions": [letter]} for letter in "ab")
        unseen = {"partition": False}
        assert key_changes(of(**before, key_parts=unseen), of(**after, key_parts=unseen)) == []
        seen = {"partition": True}
        assert said(of(**before, key_parts=seen), of(**after, key_parts=seen)) == "partition a -> b"

    def test_diff_tells_of_them_as_well(self) -> None:
        before, after = (of(key_parts={"partition": True, "resources": {"db": digest}}) for digest in ("1f", "2e"))
        assert differences(before, after) == [Change("resource", "db", "1f", "2e")]


class TestSentence:
    def test_one_of_each_kind_comes_first(self) -> None:
        changes = [Change("config", name, 1, 2) for name in "abc"] + [Change("seed", "seed", 1, 2)]
        assert sentence(changes) == "config a: 1 -> 2; seed 1 -> 2; and 2 more"

    def test_three_are_all_told(self) -> None:
        assert sentence([Change("seed", name, 1, 2) for name in "abc"]) == "a 1 -> 2; b 1 -> 2; c 1 -> 2"
