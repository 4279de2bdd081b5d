import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrepro.catalog import VersionName, parse_version_name
from mlrepro.errors import VersionNameError


@pytest.mark.parametrize(
    ("text", "asset", "number"),
    [
        ("model", ("model",), None),
        ("model@latest", ("model",), None),
        ("model@v3", ("model",), 3),
        ("model@3", ("model",), 3),
        ("team/model@v12", ("team", "model"), 12),
        (r"odd\/part/model@v1", ("odd/part", "model"), 1),
        ("user@example.com@v2", ("user@example.com",), 2),
    ],
)
def test_names_as_people_write_them(text: str, asset: tuple[str, ...], number: int | None) -> None:
    assert parse_version_name(text) == VersionName(asset, number)


def test_a_channel_stands_for_what_it_serves() -> None:
    assert parse_version_name("team/model@production") == VersionName(("team", "model"), None, "production")
    assert str(parse_version_name("team/model@production")) == "team/model@production"


@pytest.mark.parametrize("text", ["", "@v1", "model@", "model@v0", "model@v 1", "model@1x", "a//b", "/a", "model@v-1"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(VersionNameError, match=r"names no asset|is no version"):
        parse_version_name(text)


@given(
    st.lists(st.text(st.characters(exclude_characters="\\@", exclude_categories=["Z", "C"]), min_size=1), min_size=1)
)
def test_written_and_read_again(parts: list[str]) -> None:
    name = VersionName(tuple(parts), 4)
    assert parse_version_name(str(name)) == name
