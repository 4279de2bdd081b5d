"""What is rendered, parsed again."""

from typing import Any

import kubernetes_validate
import yaml

from mlrepro.tenancy import Tenants
from mlrepro.tenancy.rendering import render
from tests.tenancy.files import EXAMPLE, GOLDEN, read

SHARED = read(EXAMPLE.read_text())
ISOLATED = read((GOLDEN / "isolated.yaml").read_text())
VERSIONS = ("1.29", "1.36")


def load(tenants: Tenants, path: str) -> Any:
    """A rendered file of one document."""
    return yaml.safe_load(render(tenants)[path])


def manifests(tenants: Tenants, name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(render(tenants)[f"kubernetes/{name}.yaml"]))


def webserver(tenants: Tenants) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(render(tenants)["kubernetes/mlrepro.webserver.yaml"]))


def check(manifest: dict[str, Any]) -> None:
    """Strictly against Kubernetes' own schemas: unknown fields are errors."""
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)
