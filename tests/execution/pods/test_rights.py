"""What is asked of the Kubernetes API: nothing that a tenant's role does not allow."""

import re
from pathlib import Path

from mlrepro.execution import pods
from mlrepro.tenancy.rendering.kubernetes import RULES

VERBS = {"read": "get", "list": "list", "create": "create", "delete": "delete", "patch": "patch"}
KINDS = {"job": "jobs", "job_status": "jobs/status", "pod": "pods", "pod_log": "pods/log", "event": "events"}


def test_the_tenants_role_is_enough() -> None:
    folder = Path(pods.__file__).parent
    source = "\n".join(path.read_text() for path in folder.glob("*.py"))
    called = re.findall(r"\b([a-z]+)_namespaced_([a-z_]+)\b", source)
    asked = {(VERBS[verb], KINDS[kind]) for verb, kind in called}
    assert ("list", "jobs") in asked
    assert asked <= {(verb, resource) for rule in RULES for verb in rule["verbs"] for resource in rule["resources"]}
