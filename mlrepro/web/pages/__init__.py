"""Pages beside Dagster's own: versions, lineage by version, comparison, channels, and buttons that move them."""

from mlrepro.web.pages.asked import HERE
from mlrepro.web.pages.site import Site

__all__ = ["HERE", "Site"]
