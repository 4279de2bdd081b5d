from collections.abc import Iterator

import pytest

from tests.web.installation import Installation, installation


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """All in one instance: everybody sees, only members touch."""
    with installation(tmp_path_factory.mktemp("shared"), "shared") as found:
        yield found


@pytest.fixture(scope="session")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An instance for each tenant."""
    with installation(tmp_path_factory.mktemp("isolated"), "isolated") as found:
        yield found
