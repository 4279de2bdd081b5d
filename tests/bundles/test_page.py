"""docs/bundles.md, run as it stands there."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

from mlrepro.bundles import BundleSettings, read_settings
from tests.deployment.pages import blocks, commands
from tests.deployment.programs import environment

PAGE = "docs/bundles.md"


def test_the_page_s_commands_run(tmp_path: Path) -> None:
    (tmp_path / "pricing").mkdir()
    (tmp_path / "pricing/__init__.py").touch()
    (tmp_path / "pricing/definitions.py").write_text(blocks(PAGE, "python")[0])
    (tmp_path / "home").mkdir()
    variables = environment(
        DAGSTER_HOME=str(tmp_path / "home"),
        MLREPRO_STORE=str(tmp_path / "store"),
        MLREPRO_BUNDLE_CACHE=str(tmp_path / "cache"),
        MLREPRO_USER="ada",
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    (tmp_path / "pyproject.toml").write_text(blocks(PAGE, "toml")[0])
    (tmp_path / ".gitignore").write_text("home/\nstore/\ncache/\n")
    printed = []
    for command in commands(PAGE):
        done = subprocess.run(
            shlex.split(command), cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        printed.append(done.stdout)
    first, _, second, history, diff, back, after, again = printed
    assert first.startswith("pricing@v1 (2 assets, ")
    assert second.startswith("pricing@v2 (2 assets, ")
    assert ", 1 sent)" in second
    assert [line.split()[0] for line in history.splitlines()[2:]] == ["v2", "v1"]
    assert "changed  asset offers: code" in diff
    assert re.search(r"-.*price \* 0\.9.*\n\+.*price \* 0\.8", diff)
    assert back == "pricing: v2 -> v1 by ada, as v3 of its history\n"
    assert "rollback to v1" in after
    assert again.startswith("pricing@v4 ")


def test_the_page_s_settings_are_settings(tmp_path: Path) -> None:
    (text,) = blocks(PAGE, "toml")
    (tmp_path / "pyproject.toml").write_text(text)
    read = read_settings(tmp_path)
    shown = tomllib.loads(text)["tool"]["mlrepro"]["bundle"]
    assert read.model_dump(include={"max_size", "max_file_size", "max_files"}) == BundleSettings().model_dump(
        include={"max_size", "max_file_size", "max_files"}
    ), "the sizes are the defaults"
    assert set(shown) <= set(BundleSettings.model_fields)
