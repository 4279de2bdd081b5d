from collections.abc import Iterator

import pytest

from tests import instances


@pytest.fixture(autouse=instances.ON_POSTGRES)
def throw_away_databases() -> Iterator[None]:
    yield
    instances.end_of_test()


@pytest.fixture(scope="session", autouse=instances.ON_POSTGRES)
def stop_postgres() -> Iterator[None]:
    yield
    instances.end_of_session()
