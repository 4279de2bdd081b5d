"""docs/tenants.md: its example is right, and what it says the check prints is what it prints."""

import re

from mlrepro.tenancy import Role
from mlrepro.tenancy.rendering import render
from mlrepro.tenancy.tenant import Tenant
from tests.deployment.pages import ROOT, blocks
from tests.tenancy.files import read, told

PAGE = "docs/tenants.md"
(EXAMPLE,) = blocks(PAGE, "yaml")
TEXT = (ROOT / PAGE).read_text()


def test_the_example() -> None:
    assert {tenant.name for tenant in read(EXAMPLE)} == {"pricing", "forecast"}


def test_what_the_check_prints() -> None:
    wrong = (
        EXAMPLE.replace("role: editor", "role: boss")
        .replace("name: forecast", "name: pricing")
        .replace("publishes: [shared]", "publishes: [pricing]")
        .replace("cpu: 32", "cpu: 100m")
    )
    (shown,) = blocks(PAGE, "text")
    assert told(wrong) == shown.splitlines()


def test_every_field_role_and_folder_is_told() -> None:
    fields = set(re.findall(r"^\| `(\w+)[.\w]*` \|", TEXT, re.MULTILINE))
    assert set(Tenant.model_fields) - {"description"} <= fields
    assert all(f"`{role}`" in TEXT for role in Role)
    folders = set(re.findall(r"^\| `(\w+)/` \|", TEXT, re.MULTILINE))
    assert folders == {path.split("/")[0] for path in render(read(EXAMPLE))}


def test_every_file_that_it_names_is_rendered() -> None:
    named = re.findall(r"rendered/((?:helm|s3|seaweedfs)/\S+)", TEXT)
    assert named
    assert set(named) <= set(render(read(EXAMPLE)))
