"""docs/webserver.md: what it says of each mutation is what is checked."""

import re

from mlrepro.tenancy import Role
from tests.deployment.pages import ROOT
from tests.web.mutations import ANYBODY, MUTATIONS, NOBODY

TEXT = (ROOT / "docs" / "webserver.md").read_text()
SAID = {None: "the instance's administrator", ANYBODY: "whoever has a role", NOBODY: "nobody"}


def test_each_mutation_and_its_role_is_told() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([\w' ]+) \|", TEXT, re.MULTILINE)
    told = {name: role for names, role in rows for name in re.findall(r"`(\w+)`", names)}
    for role in Role:
        told.pop(role, None)
    assert told == {mutation.name: SAID.get(mutation.needs) or str(mutation.needs) for mutation in MUTATIONS}


def test_each_role_is_told() -> None:
    assert re.findall(r"^\| `(\w+)` \| [a-z]", TEXT, re.MULTILINE)[:4] == [str(role) for role in Role]
