import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrepro.errors import StoreError
from mlrepro.store import keys

TEXTS = st.text(st.characters(codec=None), min_size=1)


@given(TEXTS)
def test_a_segment_is_safe_and_can_be_read_back(text: str) -> None:
    segment = keys.encode_segment(text)
    assert 1 <= len(segment) <= 200
    assert segment.isascii()
    assert segment.isprintable()
    assert not set(segment) & set('/\\ :?*"<>|')
    assert not segment.startswith(".")
    assert not segment.endswith(".json")
    assert keys.decode_segment(segment) in {text, None}


@given(TEXTS, TEXTS)
def test_different_names_have_different_segments(one: str, other: str) -> None:
    assert (keys.encode_segment(one) == keys.encode_segment(other)) == (one == other)


@pytest.mark.parametrize("text", ["x" * 300, "é" * 300, "x" * 201, "%" * 100, "../" * 200])
def test_long_names_are_shortened_and_stay_different(text: str) -> None:
    assert len(keys.encode_segment(text)) <= 200
    assert keys.decode_segment(keys.encode_segment(text)) is None
    assert keys.encode_segment(text) != keys.encode_segment(text + "x")


@pytest.mark.parametrize("text", [".", "..", ".hidden", "a.json", "\0", "a\nb", "~", "a/../../b", " "])
def test_odd_names_survive(text: str) -> None:
    assert keys.decode_segment(keys.encode_segment(text)) == text


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(StoreError, match="empty name"):
        keys.encode_segment("")


@pytest.mark.parametrize("scope", ["", ".", "..", "a/b", "a b", "-a", "é", "x" * 101, "a\n"])
def test_a_bad_scope_is_refused(scope: str) -> None:
    with pytest.raises(StoreError, match="scope"):
        keys.check_scope(scope)


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_newer_entries_are_listed_first(one: int, other: int) -> None:
    assert (keys.entry_name(one) < keys.entry_name(other)) == (one > other)
    assert keys.entry_number(keys.entry_name(one)) == one


@pytest.mark.parametrize("name", ["1.json", "x" * 12 + ".json", "9" * 12, "٣" * 12 + ".json"])
def test_other_files_are_no_entries(name: str) -> None:
    assert keys.entry_number(name) is None
