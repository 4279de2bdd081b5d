"""`tenants.yaml` for tests: the checked-in one, and small ones made of it."""

import textwrap
from pathlib import Path

from mlrepro.tenancy import Tenants, read_tenants
from tests.deployment.pages import ROOT

EXAMPLE = ROOT / "deployment" / "tenants.yaml"
RENDERED = ROOT / "deployment" / "rendered"
GOLDEN = Path(__file__).parent / "golden"

SMALL = """\
instance:
  image: registry.example.com/all:1
  postgres: {host: db, cidrs: [10.0.0.0/24]}
  bucket: {store: "s3://ml/mlrepro", logs: "s3://ml/logs"}
tenants:
"""


def small(*tenants: str, begin: str = SMALL) -> str:
    """A file with these tenants, each given as YAML."""
    return begin + "".join(textwrap.indent(textwrap.dedent(tenant).strip("\n") + "\n", "  ") for tenant in tenants)


def team(name: str, more: str = "", *, quota: str = "{cpu: 8, memory: 32Gi}") -> str:
    """A tenant with what has no default, and more."""
    needed = f"{name}:\n  code_locations: [{{name: {name}, module: team.definitions}}]\n  quota: {quota}\n"
    return needed + textwrap.indent(textwrap.dedent(more).strip("\n") + "\n", "  ") if more else needed


def told(text: str) -> list[str]:
    """All that is wrong, as `mlrepro tenants check` prints it."""
    return [problem.told("tenants.yaml") for problem in read_tenants(text)[1]]


def read(text: str) -> Tenants:
    """The tenants of a file in which nothing is wrong."""
    tenants, problems = read_tenants(text)
    assert not problems, [problem.told("tenants.yaml") for problem in problems]
    assert tenants is not None
    return tenants
