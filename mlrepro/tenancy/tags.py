"""Tags that say whose a run is."""

from typing import Final

TENANT_TAG: Final = "mlrepro/tenant"
"""Run tag with the tenant's name; the queue's limits go by it."""

LOCATION_TAG: Final = "mlrepro/location"
"""Run tag with the code location's name."""

GIT_REF_TAG: Final = "mlrepro/git_ref"
"""Run tag with where the code came from, as ``tenants.yaml`` says of the code location."""

USER_TAG: Final = "dagster/user"
"""Run tag with who launched it: a verified user, or what did so by itself, such as ``sensor:NAME``."""

REFUSED_TAG: Final = "mlrepro/refused"
"""Run tag of what was not allowed to be launched: nothing goes on from it."""

NOBODY: Final = "-"
"""The tenant of a run whose code location belongs to none. No tenant can have this name."""
