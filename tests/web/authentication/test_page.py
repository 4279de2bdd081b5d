"""docs/identity.md: its examples are right, and it tells every field."""

import re
from pathlib import Path

import pytest
import yaml

from mlrepro.tenancy.identity_settings import IdentitySettings, JwtSettings
from tests.deployment.pages import ROOT, blocks, commands
from tests.deployment.test_docs import run
from tests.tenancy.files import SMALL, read, small, team

PAGE = "docs/identity.md"
TEXT = (ROOT / PAGE).read_text()


@pytest.mark.parametrize("example", blocks(PAGE, "yaml"), ids=lambda text: re.findall(r"^  (\w+):", text, re.M)[-1])
def test_the_examples_are_right(example: str) -> None:
    read(small(team("a"), begin=example + SMALL))


def test_every_way_has_an_example_and_a_line() -> None:
    ways = set(IdentitySettings.model_fields) - {"public_url"}
    shown = {way for example in blocks(PAGE, "yaml") for way in yaml.safe_load(example)["identity"]}
    assert ways <= shown
    assert ways == set(re.findall(r"^\| `(\w+)` \|", TEXT.partition("## ")[0], re.MULTILINE))


def test_every_field_of_a_token_is_told() -> None:
    assert set(JwtSettings.model_fields) == set(re.findall(r"^\| `(\w+)` \|", TEXT.partition("## ")[2], re.MULTILINE))


def test_what_it_types_runs(tmp_path: Path) -> None:
    printed = {command: run(tmp_path, *command.split()) for command in commands(PAGE)}
    assert [text[:4] for command, text in printed.items() if "create" in command] == ["mlr_"]
    assert "ci@example.com" in printed["mlrepro tokens list tokens.json"]
