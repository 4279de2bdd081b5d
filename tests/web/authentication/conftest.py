from collections.abc import Iterator

import pytest

from tests.web.authentication.provider import Provider, running


@pytest.fixture(scope="session")
def _provider() -> Iterator[Provider]:
    with running() as provider:
        yield provider


@pytest.fixture
def provider(_provider: Provider) -> Provider:
    """The provider, as if nobody had asked it for anything yet."""
    _provider.__dict__.update(Provider(_provider.url).__dict__)
    return _provider
