"""Runs a tool's key function on the project of the matrix, each time in a fresh fork of a process that has the tool
imported, so that a run takes milliseconds and sees nothing of the one before.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from code_matrix_edits import Edit
from code_matrix_project import PROJECT

SERVER = r"""
import hashlib, importlib, json, os, sys
sys.dont_write_bytecode = True
def sha(*parts):
    found = hashlib.sha256()
    for part in parts:
        part = part if isinstance(part, bytes) else repr(part).encode()
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()
tool = {"sha": sha}
exec(sys.argv[1], tool)
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    root, target = json.loads(line)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            sys.path.insert(0, root)
            sys.path.append(os.path.join(root, "_site"))
            importlib.invalidate_caches()
            module_name, _, name = target.partition(":")
            module = importlib.import_module(module_name)
            answer = {"key": str(tool["key"](module, getattr(module, name), name))}
        except BaseException as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        data = stream.read()
    os.waitpid(child, 0)
    print(data.decode() or '{"error": "the tool died"}', file=answers, flush=True)
"""

OURS = """
from mlrepro.versioning import code_fingerprint
def key(module, target, name):
    return code_fingerprint(target)
"""


class ToolError(RuntimeError):
    """The tool has no key for this target."""


class Tool:
    """A tool's key function, asked through fork servers, one for each environment.

    Args:
        snippet: Python that defines ``key(module, target, name)``.
        folder: Where checkouts are written.
        pythons: Interpreters by minor version; the empty one is the default.
    """

    def __init__(self, snippet: str, folder: Path, pythons: Mapping[str, str] | None = None) -> None:
        self.snippet = snippet
        self.folder = folder
        self.pythons = {"": sys.executable, **(pythons or {})}
        self._servers: dict[str, subprocess.Popen[str]] = {}
        self._unedited: dict[str, str] = {}

    def _server(self, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYT")}
        variables["PYTHONHASHSEED"] = environment.get("hashseed", "1")
        variables["PYTHONPATH"] = str(Path(__file__).parents[3])
        variables.update({name[4:]: value for name, value in environment.items() if name.startswith("env:")})
        python = self.pythons[environment.get("python", "")]
        identity = json.dumps([python, variables], sort_keys=True)
        if identity not in self._servers:
            self._servers[identity] = subprocess.Popen(
                [python, "-c", SERVER, self.snippet],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=variables,
                cwd=self.folder,
            )
        return self._servers[identity]

    def key(self, project: Mapping[str, str], target: str, environment: Mapping[str, str]) -> str:
        """The tool's key for a target of a project."""
        root = self.folder / environment.get("root", "checkout")
        shutil.rmtree(root, ignore_errors=True)
        for name, text in project.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        server = self._server(environment)
        assert server.stdin is not None
        assert server.stdout is not None
        print(json.dumps([str(root), target]), file=server.stdin, flush=True)
        line = server.stdout.readline()
        answer = json.loads(line) if line else {"error": "the tool did not start"}
        if "error" in answer:
            raise ToolError(answer["error"])
        return str(answer["key"])

    def notices(self, edit: Edit) -> bool:
        """Whether an edit changes the tool's key."""
        if edit.target not in self._unedited:
            self._unedited[edit.target] = self.key(PROJECT, edit.target, {})
        return self.key(edit.project(), edit.target, edit.environment) != self._unedited[edit.target]

    def close(self) -> None:
        """End the servers."""
        for server in self._servers.values():
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.close()
            server.wait(30)
            server.stdout.close()


def another_python() -> str | None:
    """A Python 3.12 that can import the package, if there is one."""
    python = os.environ.get("MLREPRO_TEST_PYTHON312") or shutil.which("python3.12")
    if python is None:
        return None
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    check = "import sys, mlrepro.versioning; sys.exit(sys.version_info[:2] != (3, 12))"
    done = subprocess.run([python, "-c", check], env=environment, capture_output=True, check=False)
    return python if done.returncode == 0 else None
