import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlrepro.bundles.workflow import KINDS, Workflow
from mlrepro.catalog.workflows import append_push, current_version
from mlrepro.store import Store, open_store
from tests.cli.conftest import Command


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MLREPRO_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MLREPRO_USER", "ben")
    return open_store(str(tmp_path / "store"))


def pushed(store: Store, *factors: int) -> None:
    for factor in factors:
        source = {
            "name": "pricing:offers",
            "file": "pricing.py",
            "line": 1,
            "text": f"def offers(x):\n    return x * {factor}",
        }
        assets = {"offers": {"code": [f"{factor}"]}} | ({"extra": {}} if factor > 1 else {})
        workflow = Workflow(
            {**{kind: {} for kind in KINDS}, "assets": assets}, {"assets/offers": [source]}, {"numpy": f"{factor}"}
        )
        content = {
            "digest": workflow.digest,
            "definitions": store.write_bytes(workflow.to_bytes()),
            "bundle": None,
            "image": f"registry/pricing:{factor}",
            "module": "pricing",
            "counts": workflow.counts,
            "git": {"commit": f"{factor}" * 40, "dirty": factor == 2},
        }
        append_push(store, "pricing", content, who="ada", reason=f"factor {factor}")


def test_workflows_tells_who_pushed_what_and_why(store: Store, command: Command) -> None:
    pushed(store, 1, 2)
    code, out, _ = command("workflows", "pricing")
    assert code == 0
    newest, first = out.splitlines()[2:]
    assert newest.split()[0] == "v2"
    assert "registry/pricing:2" in newest
    assert "2222222222 dirty" in newest
    assert newest.endswith("factor 2")
    assert "dirty" not in first
    found = json.loads(command("workflows", "pricing", "--json")[1])
    assert [(each["version"], each["kind"], each["who"]) for each in found] == [(2, "push", "ada"), (1, "push", "ada")]


def test_workflow_diff_tells_assets_libraries_and_lines(store: Store, command: Command) -> None:
    pushed(store, 1, 2)
    code, out, _ = command("workflow-diff", "pricing", "v1", "v2")
    assert code == 0
    assert "added    asset extra" in out
    assert "changed  asset offers: code" in out
    assert "library  numpy 1 -> 2" in out
    assert "-    return x * 1\n+    return x * 2" in out
    told = json.loads(command("workflow-diff", "pricing", "v1", "v2", "--json")[1])
    assert {(each["name"], each["what"]) for each in told["differences"]} == {("extra", "added"), ("offers", "changed")}
    assert command("workflow-diff", "pricing", "1", "1")[1] == "v1 and v1 are the same\n"


def test_rollback_takes_a_whole_location_back(store: Store, command: Command) -> None:
    pushed(store, 1, 2, 3)
    code, out, _ = command("rollback", "--location", "pricing", "--to", "v1", "--reason", "wrong prices")
    assert (code, out) == (0, "pricing: v3 -> v1 by ben, as v4 of its history\n")
    moved = json.loads(command("rollback", "--location", "pricing", "--to", "v3", "--who", "eva", "--json")[1])
    assert (moved["of"], moved["who"], moved["from"]) == (3, "eva", 1)
    served = current_version(store, "pricing")
    assert served is not None
    assert served.image == "registry/pricing:3"


def test_the_image_of_the_version_is_written_for_whoever_deploys_from_git(
    store: Store, command: Command, tmp_path: Path
) -> None:
    pushed(store, 1, 2)
    values = tmp_path / "values.yaml"
    values.write_text("deployments:\n  - name: pricing\n    image: {repository: registry/pricing, tag: '2'}  # by CI\n")
    code, out, _ = command("rollback", "--location", "pricing", "--helm-values", str(values))
    assert code == 0
    assert out.endswith("values.yaml has the image registry/pricing:1: commit it\n")
    assert "tag: '1'}  # by CI" in values.read_text()

    values.write_text("deployments: []\n")
    code, _, err = command("rollback", "--location", "pricing", "--to", "v2", "--helm-values", str(values))
    assert (code, len(err.splitlines())) == (1, 1)
    served = current_version(store, "pricing")
    assert served is not None
    assert served.of == 1, "nothing moved"


MISTAKES: dict[str, tuple[list[str], str]] = {
    "no such location": (["workflows", "prizing"], "the code location prizing has no version in"),
    "no such version": (["workflow-diff", "pricing", "v1", "v9"], "has no v9 in"),
    "no version": (["workflow-diff", "pricing", "first", "v1"], "'first' is no version of a code location"),
    "rollback of nothing": (["rollback"], "name the asset to take back, or with --location"),
    "rollback of both": (["rollback", "offers", "--location", "pricing"], "name the asset to take back, or with --loc"),
    "a channel of a location": (["rollback", "--location", "pricing", "--channel", "production"], "no channel"),
    "back to what is served": (["rollback", "--location", "pricing", "--to", "v1"], "pricing serves v1 already"),
    "back beyond the first": (["rollback", "--location", "pricing"], "has no version before v1"),
    "a push of nothing": (["push", "pricing", "-m", "pricing.definitions"], "has no module pricing.definitions"),
    "a server without a port": (["code-server", "pricing"], "name the port to serve on"),
    "a server with both": (["code-server", "pricing", "-p", "1", "-s", "x"], "and not both"),
    "a context that is no JSON": (["code-server", "pricing", "-p", "1", "--container-context", "{"], "is no JSON"),
    "a context that is a list": (["code-server", "pricing", "-p", "1", "--container-context", "[]"], "a JSON object"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_ends_in_one_line(
    store: Store, command: Command, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").touch()
    pushed(store, 1)
    arguments, why = MISTAKES[case]
    code, out, err = command(*arguments)
    assert (code, out) == (1, "")
    assert why in err
    assert len(err.splitlines()) == 1


def damaged(store: Store) -> None:
    version = current_version(store, "pricing")
    assert version is not None
    store.append(("locations", "pricing"), lambda newest: {**version.body, "definitions": "5eed" * 16})


def garbage(store: Store) -> None:
    version = current_version(store, "pricing")
    assert version is not None
    blob = store.write_bytes(b'{"description": 7}')
    store.append(("locations", "pricing"), lambda newest: {**version.body, "definitions": blob})


@pytest.mark.parametrize("harm", [damaged, garbage])
def test_definitions_that_cannot_be_read_are_told_in_one_line(
    store: Store, command: Command, harm: Callable[[Store], Any]
) -> None:
    pushed(store, 1)
    harm(store)
    code, _, err = command("workflow-diff", "pricing", "v1", "v2")
    assert code == 1
    assert "can't be read" in err
    assert len(err.splitlines()) == 1
