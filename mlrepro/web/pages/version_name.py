"""Names of versions in addresses, as the command line takes them: ``team/churn_model@v3``."""

from mlrepro.catalog import VersionName, parse_version_name
from mlrepro.store import Store
from mlrepro.web.pages.asked import Asked
from mlrepro.web.pages.known import Known


def named(asked: Asked, text: str, scope: str | None) -> tuple[Store, Known | None, VersionName]:
    """Read a version's name, and find the store as its asset's scope sees it.

    Raises:
        VersionNameError: It is no name.
        NotHereError: The user sees no such asset.
    """
    name = parse_version_name(text)
    store, known, _ = asked.store_of(str(VersionName(name.asset, None)), scope)
    return store, known, name
