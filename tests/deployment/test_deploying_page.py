"""docs/deploying.md and deployment/dagster.yaml say the same."""

import re

import yaml

from tests.deployment.pages import ROOT, blocks
from tests.deployment.shared_installation import WORKSPACE, programs

PAGE = (ROOT / "docs" / "deploying.md").read_text()
SETTINGS = yaml.safe_load((ROOT / "deployment" / "dagster.yaml").read_text())


def variables(settings: object) -> set[str]:
    """Names of the environment variables in a dagster.yaml."""
    if isinstance(settings, list):
        return set().union(*map(variables, settings))
    if not isinstance(settings, dict):
        return set()
    return {settings["env"]} if set(settings) == {"env"} else set().union(*map(variables, settings.values()))


def test_the_page_tells_every_variable_that_the_file_names() -> None:
    told = set(re.findall(r"^\| `(DAGSTER_\w+)` \|", PAGE, re.MULTILINE))
    assert told == variables(SETTINGS) | {"DAGSTER_HOME"}


def test_the_programs_that_it_starts_are_those_of_the_test() -> None:
    typed = [line.split()[:2] for line in blocks("docs/deploying.md", "sh")[0].splitlines()]
    started = [arguments[:2] for arguments in programs(code_port=1, web_port=2).values()]
    assert typed == started


def test_its_workspace_is_that_of_the_test() -> None:
    (shown,) = blocks("docs/deploying.md", "yaml")
    told, tested = (yaml.safe_load(text)["load_from"][0]["grpc_server"] for text in (shown, WORKSPACE.format(port=1)))
    assert set(told) == set(tested)
