"""Work of another team in one's own code location: to be read, or to be run."""

from mlrepro.sharing.declaring import shared_asset, shared_workflow

__all__ = ["shared_asset", "shared_workflow"]
