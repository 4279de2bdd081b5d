import pytest

from mlrepro.errors import MlreproError
from mlrepro.io_managers.modes import Mode, cache_mode


@pytest.mark.parametrize(
    ("tags", "environment", "mode"),
    [
        ({}, "", "on"),
        ({"mlrepro/cache": "off"}, "", "off"),
        ({"mlrepro/cache": "Refresh"}, "", "refresh"),
        ({}, "off", "off"),
        ({"mlrepro/cache": "on"}, "off", "on"),
        ({"mlrepro/refresh": "a,team/b"}, "off", "refresh"),
        ({"mlrepro/refresh": "a"}, "", "on"),
    ],
)
def test_a_runs_own_tag_comes_before_the_process(
    tags: dict[str, str], environment: str, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLREPRO_CACHE", environment)
    assert cache_mode(tags, frozenset({"team/b"})) == mode


def test_any_other_word_is_refused() -> None:
    with pytest.raises(MlreproError, match="mlrepro/cache is one of on, off, refresh, not 'of'"):
        cache_mode({"mlrepro/cache": "of"}, frozenset())
