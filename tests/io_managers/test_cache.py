import datetime as dt
from typing import Any

import pytest

from mlrepro import Cache
from mlrepro.errors import AssetDefinitionError


@pytest.mark.parametrize(
    "wrong",
    [
        {"ignore_config": "n_jobs"},
        {"ignore_resources": "slack"},
        {"ignore_config": (1,)},
        {"ignore_config": None},
        {"salt": 5},
        {"max_age": 5},
        {"enabled": "no"},
        {"serialize": "yes"},
        {"scope": "../other"},
        {"scope": ""},
        {"max_age": dt.timedelta(0)},
    ],
)
def test_settings_that_can_only_be_a_mistake(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssetDefinitionError, match=f"Cache\\({next(iter(wrong))}="):
        Cache(**wrong)


def test_lists_are_taken_as_well() -> None:
    assert Cache(ignore_config=["a"]) == Cache(ignore_config=("a",))  # type: ignore[arg-type]
