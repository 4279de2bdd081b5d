"""From ``tenants.yaml`` to the files that a machine, Helm, Kubernetes and a bucket need. No cluster is asked."""

from mlrepro.tenancy.rendering.folder import Changes, changes, write
from mlrepro.tenancy.rendering.rendered import render

__all__ = ["Changes", "changes", "render", "write"]
