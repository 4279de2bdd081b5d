"""All files that follow from ``tenants.yaml``."""

from mlrepro.tenancy.model import Tenants
from mlrepro.tenancy.rendering.helm import helm_files
from mlrepro.tenancy.rendering.kubernetes import kubernetes_files
from mlrepro.tenancy.rendering.machine import machine_files
from mlrepro.tenancy.rendering.policies import policy_files
from mlrepro.tenancy.rendering.seaweedfs import seaweedfs_files
from mlrepro.tenancy.rendering.webserver import webserver_files


def render(tenants: Tenants) -> dict[str, str]:
    """The text of each file, by its path below the folder that it is to be written to.

    Without ``instance.image`` there is nothing for Kubernetes and Helm: webserver and daemon run it.

    The same tenants give the same bytes, in whichever order the file names them.

    Args:
        tenants: As `mlrepro.tenancy.load_tenants` reads them: without problems.
    """
    on_kubernetes = (helm_files, kubernetes_files, webserver_files) if tenants.on_kubernetes else ()
    kinds = (machine_files, *on_kubernetes, policy_files, seaweedfs_files)
    return dict(sorted((path, text) for files in kinds for path, text in files(tenants)))
