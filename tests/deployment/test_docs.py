"""What the README and the pages in docs/ show, run as it stands there."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.pages import ROOT, blocks, commands, pages

MATERIALIZE = """
import json, sys
import dagster as dg
import {module}
job = {module}.defs.resolve_implicit_global_asset_job_def()
with dg.DagsterInstance.get() as instance:
    for config in json.loads(sys.argv[1]):
        result = job.execute_in_process(instance=instance, run_config=config)
        found = [event.materialization for event in result.get_asset_materialization_events()]
        known = [m for m in found if "mlrepro/cache" in m.metadata]
        print(json.dumps({{m.asset_key.to_user_string(): m.metadata["mlrepro/cache"].value for m in known}}))
"""


def run(folder: Path, *command: str) -> str:
    """Run a command where a user would: in the project's folder, with a Dagster home of its own."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MLREPRO_")}
    environment = {
        **outside,
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{outside['PATH']}",
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def materialize(folder: Path, module: str, *configs: object) -> list[dict[str, str]]:
    """Materialize a module's assets once for each config; what was computed and what hit each time."""
    printed = run(folder, sys.executable, "-c", MATERIALIZE.format(module=module), json.dumps(configs))
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def test_the_readmes_example_computes_once(tmp_path: Path) -> None:
    example = tmp_path / "tumours.py"
    example.write_text(blocks("README.md", "python")[0])
    first, second, other = materialize(tmp_path, "tumours", {}, {}, {"ops": {"model": {"config": {"trees": 50}}}})
    assert set(first.values()) == {"computed"}
    assert set(second.values()) == {"hit"}
    assert other == {"samples": "hit", "model": "computed", "evaluation": "computed"}

    example.write_text(example.read_text().replace("    train =", "    # every second one\n    train ="))
    assert set(materialize(tmp_path, "tumours", {})[0].values()) == {"hit"}


def test_the_readmes_example_predicts(tmp_path: Path) -> None:
    (tmp_path / "tumours.py").write_text(blocks("README.md", "python")[0])
    materialize(tmp_path, "tumours", {})
    assert run(tmp_path, sys.executable, "-c", "import mlrepro; assert mlrepro.load('evaluation')['auc'] > 0.97") == ""


def test_the_readmes_example_ignores_the_number_of_jobs(tmp_path: Path) -> None:
    (tmp_path / "tumours.py").write_text(blocks("README.md", "python")[0])
    _, again = materialize(tmp_path, "tumours", {}, {"ops": {"model": {"config": {"n_jobs": 2}}}})
    assert set(again.values()) == {"hit"}


def test_the_readmes_second_example_caches_what_is_an_ml_asset(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(blocks("README.md", "python")[1])
    job = "shop.defs.resolve_implicit_global_asset_job_def()"
    script = f"import shop; job = {job}; assert job.execute_in_process().output_for_node('ranked') == [1, 2, 3]"
    run(tmp_path, sys.executable, "-c", script)


def test_the_readmes_channel_example_goes_back(tmp_path: Path) -> None:
    (tmp_path / "churn.py").write_text(blocks("README.md", "python")[2])
    trained = [{"ops": {"churn_model": {"config": {"slope": slope}}}} for slope in (0.5, 0.4)]
    materialize(tmp_path, "churn", *trained)
    done = run(tmp_path, "mlrepro", "rollback", "churn_model", "--channel", "production", "--cascade", "-m", "churn")
    assert "1 from the cache, 0 computed" in done
    script = "import churn, mlrepro; churn.defs.get_repository_def().load_all_definitions();"
    run(tmp_path, sys.executable, "-c", f"{script} assert mlrepro.load('predictions') == [0.0, 0.5, 1.0]")


@pytest.mark.parametrize(
    "page", ["docs/how-it-works.md", "docs/adopting.md", "docs/rollback-sensors.md", "docs/sharing.md"]
)
def test_a_pages_python_runs(tmp_path: Path, page: str) -> None:
    (tmp_path / "page.py").write_text("\n".join(blocks(page, "python")))
    run(tmp_path, sys.executable, "page.py")


@pytest.mark.slow
def test_the_commands_page_runs(tmp_path: Path) -> None:
    module, notebook = blocks("docs/cli.md", "python")
    (tmp_path / "shop.py").write_text(module)
    materialize(tmp_path, "shop", *({"ops": {"ranking": {"config": {"depth": depth}}}} for depth in (2, 4)))
    typed = commands("docs/cli.md")
    printed = {command: run(tmp_path, *shlex.split(command)) for command in typed}
    assert all(printed.values())
    run(tmp_path, sys.executable, "-c", notebook)
    assert json.loads((tmp_path / "ranking.json").read_text()) == {"auc": 0.75}


def test_the_housekeeping_page_runs(tmp_path: Path) -> None:
    first, later = blocks("docs/housekeeping.md", "python")
    run(tmp_path, sys.executable, "-c", first)
    printed = {command: run(tmp_path, *shlex.split(command)) for command in commands("docs/housekeeping.md")}
    assert all(printed.values())
    assert "this would be done with --delete" in printed["mlrepro gc --store store"]
    run(tmp_path, sys.executable, "-c", f"from mlrepro.store import open_store\nstore = open_store('store')\n{later}")


@pytest.mark.slow
def test_the_channels_page_runs(tmp_path: Path) -> None:
    module, notebook = blocks("docs/channels.md", "python")
    (tmp_path / "churn.py").write_text(module)
    trained = [{"ops": {"churn_model": {"config": {"slope": slope}}}} for slope in (0.5, 0.4)]
    assert materialize(tmp_path, "churn", *trained)[1]["predictions"] == "computed"
    run(tmp_path, sys.executable, "-c", notebook)
    printed = {command: run(tmp_path, *shlex.split(command)) for command in commands("docs/channels.md")}
    assert all(printed.values())
    told = list(printed.values())
    assert "v2 -> v1 (rollback, entry 3" in told[0]
    assert "1 from the cache, 0 computed" in told[0]
    assert [line.split()[0] for line in told[1].splitlines()[2:5]] == ["3", "2", "1"]
    script = "import mlrepro; assert mlrepro.load('churn_model@production') == {'slope': 0.4}"
    run(tmp_path, sys.executable, "-c", script)


@pytest.mark.slow
def test_the_reproducing_page_runs(tmp_path: Path) -> None:
    module, version, run_again = blocks("docs/reproducing.md", "python")
    for factor in (2, 3):
        (tmp_path / "shop.py").write_text(module.replace("FACTOR = 3", f"FACTOR = {factor}"))
        materialize(tmp_path, "shop", {})
    reproduce, rerun = commands("docs/reproducing.md")
    assert run(tmp_path, *shlex.split(reproduce)).count(": bit for bit the same\n") == 2
    run(tmp_path, sys.executable, "-c", version)
    run(tmp_path, sys.executable, "-c", run_again)
    newest = "import dagster as dg\nwith dg.DagsterInstance.get() as instance: print(instance.get_runs()[0].run_id)"
    run_id = run(tmp_path, sys.executable, "-c", newest).strip()
    assert "what it was" in run(tmp_path, *shlex.split(rerun.replace("RUN_ID", run_id)))


def test_the_commands_page_names_every_verb() -> None:
    help_text = subprocess.run(
        [sys.executable, "-c", "import mlrepro.cli; mlrepro.cli.main()", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    verbs = re.findall(r"^  (\w+)  +\w", help_text.partition("Commands:")[2], re.MULTILINE)
    page = (ROOT / "docs/cli.md").read_text()
    assert len(verbs) >= 6
    assert [verb for verb in verbs if f"| `{verb}` |" not in page] == []


def test_every_target_that_a_page_names_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in pages() for name in re.findall(r"\bmake ([a-z-]+)`?", " ".join(commands(page)))}
    assert named
    assert named <= targets


def test_the_makefile_explains_its_targets() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"demo", "ui", "test", "lint", "bench", "clean"} <= {line.split()[1] for line in printed.splitlines()}


@pytest.mark.parametrize("page", pages())
def test_a_pages_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text())
    missing = [link for link in links if "://" not in link and not (ROOT / page).parent.joinpath(link).exists()]
    assert missing == []


def test_pictures_are_small_enough_to_load() -> None:
    pictures = sorted((ROOT / "docs/images").glob("*.png"))
    assert pictures
    assert all(picture.stat().st_size < 400_000 for picture in pictures)


def test_the_links_at_the_root_are_relative_and_lead_into_the_package() -> None:
    for name in ("definitions", "resources", "io_managers"):
        link = ROOT / name
        assert link.is_symlink()
        assert link.readlink() == Path("mlrepro", name)
