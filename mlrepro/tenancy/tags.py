"""Tags that say whose a run is."""

from typing import Final

TENANT_TAG: Final = "mlrepro/tenant"
"""Run tag with the tenant's name; the queue's limits go by it."""

LOCATION_TAG: Final = "mlrepro/location"
"""Run tag with the code location's name."""
