"""What code takes from its surroundings is followed where it can be known, and told."""

import os
from pathlib import Path

import pytest
from throwaway_project import Project

from mlrepro.versioning import CodeFingerprint, fingerprint


def told(found: CodeFingerprint) -> list[tuple[str, bool]]:
    return [(report.kind, report.followed) for report in found.reports]


# -- environment variables


@pytest.mark.parametrize(
    "code",
    [
        'import os\ndef run():\n    return os.environ.get("MLREPRO_T", "d")\n',
        'import os\ndef run():\n    return os.environ["MLREPRO_T"]\n',
        'import os\ndef run():\n    return os.getenv("MLREPRO_T")\n',
        'import os\ndef run():\n    return "MLREPRO_T" in os.environ\n',
        'from os import environ\ndef run():\n    return environ["MLREPRO_T"]\n',
        'from os import environ as e\ndef run():\n    return e.get("MLREPRO_T")\n',
        'from os import getenv as read\ndef run():\n    return read("MLREPRO_T")\n',
        'import os as system\nNAME = "MLREPRO_T"\ndef run():\n    return system.environ[NAME]\n',
        'def run():\n    import os\n    name = "MLREPRO_T"\n    return os.environ.get(name)\n',
        'PREFIX = "MLREPRO"\nimport os\ndef run():\n    return os.environ.get(f"{PREFIX}_T", default=1)\n',
        'import os\ndef run():\n    return [os.environ.get("MLREPRO_T") for _ in range(2)]\n',
        """\
import os
class Settings:
    def mode(self):
        return os.environ.get("MLREPRO_T")
def run():
    return Settings().mode()
""",
        'import os\nread = os.environ.get\ndef run():\n    return read("MLREPRO_T")\n',
    ],
)
def test_an_environment_variable_read_by_name_is_followed(
    project: Project, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    with project.imported(project.write(code)) as run:
        monkeypatch.delenv("MLREPRO_T", raising=False)
        unset = fingerprint(run)
        monkeypatch.setenv("MLREPRO_T", "s3cr3t-value")
        one = fingerprint(run)
        monkeypatch.setenv("MLREPRO_T", "two")
        two = fingerprint(run)
        assert len({unset.digest, one.digest, two.digest}) == 3
        assert told(one) == [("environment variable", True)]
        assert "MLREPRO_T" in one.reports[0].message
        assert "proj/main.py:" in one.reports[0].message
        assert "s3cr3t-value" not in repr(one)


@pytest.mark.parametrize(
    "code",
    [
        "import os\ndef run(name=None):\n    return os.environ.get(name)\n",
        "import os\ndef run(name=None):\n    return os.getenv(name)\n",
        "import os\ndef run():\n    return dict(os.environ)\n",
        "import os\ndef run():\n    return [k for k in os.environ]\n",
    ],
)
def test_an_environment_variable_read_by_a_computed_name_is_told(project: Project, code: str) -> None:
    found = project.fingerprint(code)
    assert told(found) == [("environment variable", False)]


def test_another_variable_does_not_matter(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    code = 'import os\ndef run():\n    os.environ["MLREPRO_W"] = "1"\n    return os.environ.get("MLREPRO_T")\n'
    with project.imported(project.write(code)) as run:
        before = fingerprint(run)
        monkeypatch.setenv("MLREPRO_W", "x")
        assert fingerprint(run).digest == before.digest


# -- files

READS = [
    'import pathlib\ndef run():\n    return (pathlib.Path(__file__).parent / "data.txt").read_text()\n',
    """\
from pathlib import Path
HERE = Path(__file__).parent
def run():
    return HERE.joinpath("data.txt").read_bytes()
""",
    """\
from pathlib import Path
DATA = Path(__file__).resolve().parent / "data.txt"
def run():
    with DATA.open() as f:
        return f.read()
""",
    """\
import os
def run():
    path = os.path.join(os.path.dirname(__file__), "data.txt")
    with open(path) as f:
        return f.read()
""",
    """\
from os.path import dirname, join, abspath
def run():
    return open(join(dirname(abspath(__file__)), "data.txt"), "rb").read()
""",
    """\
from pathlib import Path
def run():
    import json
    where = Path(__file__).parents[0]
    return json.load((where / "data.txt").open())
""",
    'import io, pathlib\ndef run():\n    return io.open(str(pathlib.Path(__file__).with_name("data.txt"))).read()\n',
    """\
import pandas as pd
from pathlib import Path
def run():
    return pd.read_csv(Path(__file__).parent / "data.txt")
""",
    """\
from pandas import read_csv as load
from pathlib import Path
HERE = Path(__file__).parent
def run():
    return load(filepath_or_buffer=HERE / "data.txt")
""",
    """\
import numpy as np, os
FILES = {"a": os.path.dirname(__file__) + "/data.txt"}
def run():
    return np.loadtxt(FILES["a"])
""",
    'from importlib.resources import files\ndef run():\n    return (files("proj") / "data.txt").read_text()\n',
    """\
from pathlib import Path
NAME = "data"
def run():
    return Path(Path(__file__).parent, f"{NAME}.txt").read_text()
""",
    """\
from pathlib import Path
class C:
    ROOT = Path(__file__).parent
    def go(self):
        return (C.ROOT / "data.txt").read_text()
def run():
    return C().go()
""",
    'from pathlib import Path\nfrom proj import where\ndef run():\n    return (where.ROOT / "data.txt").read_text()\n',
]


@pytest.mark.parametrize("code", READS)
def test_a_file_whose_path_is_known_is_followed(project: Project, code: str) -> None:
    files = {
        "proj/__init__.py": "",
        "proj/main.py": code,
        "proj/where.py": "from pathlib import Path\nROOT = Path(__file__).parent\n",
        "proj/data.txt": "1\n2\n",
    }
    root = project.write(files)
    with project.imported(root) as run:
        before = fingerprint(run)
        assert told(before) == [("file", True)]
        assert "proj/data.txt" in before.reports[0].message
        assert str(root) not in repr(before)
        (root / "proj/data.txt").write_text("1\n3\n")
        assert fingerprint(run).digest != before.digest
    assert project.fingerprint(files).digest == before.digest, "another checkout"


@pytest.mark.parametrize(
    "code",
    [
        "def run(path=None):\n    return open(path).read()\n",
        "import pandas as pd\ndef run(path=None):\n    return pd.read_parquet(path)\n",
        "def run(path=None):\n    return path.read_text()\n",
        "import os\ndef run(d=None):\n    return os.listdir(d)\n",
        'def run():\n    return open("/nowhere/at/all.txt").read()\n',
        'from pathlib import Path\ndef run():\n    return list(Path(__file__).parent.glob("*.csv"))\n',
    ],
)
def test_a_file_whose_path_is_not_known_is_told(project: Project, code: str) -> None:
    assert told(project.fingerprint(code)) == [("file", False)]


@pytest.mark.parametrize(
    "code",
    [
        'def run(path=None):\n    with open(path, "w") as f:\n        f.write("x")\n',
        'def run(path=None):\n    with path.open("wb") as f:\n        f.write(b"x")\n',
        'def run(path=None):\n    return path.write_text("x")\n',
        "import json\ndef run(text='1'):\n    return json.loads(text)\n",
        "import pandas as pd\ndef run(x=None):\n    return pd.read_sql('select 1', x)\n",
    ],
)
def test_writing_is_not_reading(project: Project, code: str) -> None:
    assert told(project.fingerprint(code)) == []


def test_a_file_that_appears_later_counts(project: Project) -> None:
    root = project.write(READS[0])
    with project.imported(root) as run:
        absent = fingerprint(run)
        assert told(absent) == [("file", False)]
        (root / "proj/data.txt").write_text("x")
        assert fingerprint(run).digest != absent.digest


def test_a_file_of_the_working_directory(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("input.csv").write_text("a\n1\n")
    code = 'import pandas as pd\ndef run():\n    return pd.read_csv("input.csv")\n'
    with project.imported(project.write(code)) as run:
        before = fingerprint(run)
        Path("input.csv").write_text("a\n2\n")
        assert fingerprint(run).digest != before.digest


# -- names that are computed

PARTS = "def shift(x):\n    return x + 1\ndef other(x):\n    return x * 2\nCONST = 3\n"


def with_parts(code: str) -> dict[str, str]:
    return {"proj/__init__.py": "", "proj/main.py": code, "proj/parts.py": PARTS}


def test_getattr_by_a_constant_name_is_an_attribute(project: Project) -> None:
    code = with_parts('from proj import parts\ndef run(x=1):\n    return getattr(parts, "shift")(x)\n')
    assert project.changes(code, "x + 1", "x + 2")
    assert not project.changes(code, "x * 2", "x * 3")
    assert project.fingerprint(code).reports == ()


@pytest.mark.parametrize(
    "code",
    [
        'from proj import parts\ndef run(x=1):\n    return getattr(parts, "sh" + "ift")(x)\n',
        "from proj import parts\ndef run(x=1, name='shift'):\n    return getattr(parts, name)(x)\n",
        "import proj.parts\ndef run(x=1, name='shift'):\n    return getattr(proj.parts, name, None)(x)\n",
        "from proj import parts\ntake = getattr\ndef run(x=1, name='shift'):\n    return take(parts, name)(x)\n",
    ],
)
def test_getattr_by_a_computed_name_takes_the_whole_module_and_is_told(project: Project, code: str) -> None:
    files = with_parts(code)
    assert told(project.fingerprint(files)) == [("dynamic attribute", True)]
    assert project.changes(files, "x + 1", "x + 2")


@pytest.mark.parametrize(
    "code",
    [
        "from proj import parts\ndef run(x=1):\n    m = parts\n    return m.shift(x)\n",
        "from proj import parts\ndef run(x=1, m=parts):\n    return m.shift(x)\n",
        "from proj import parts\ndef run(x=1):\n    return vars(parts)['shift'](x)\n",
        "from proj import parts\nimport operator\ndef run(x=1):\n    return operator.attrgetter('shift')(parts)(x)\n",
        'import importlib\ndef run(x=1):\n    return importlib.import_module("proj.parts").shift(x)\n',
        'def run(x=1):\n    return __import__("proj.parts").parts.shift(x)\n',
        'import sys, proj.parts\ndef run(x=1):\n    return sys.modules["proj.parts"].shift(x)\n',
        'from proj.parts import shift\ndef run(x=1):\n    return eval("shift(x)")\n',
        'from proj.parts import shift\ndef run(x=1):\n    return globals()["shift"](x)\n',
    ],
)
def test_roundabout_ways_to_a_helper_are_followed(project: Project, code: str) -> None:
    assert project.changes(with_parts(code), "x + 1", "x + 2")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("def run(text='1'):\n    return eval(text)\n", "exec"),
        ("def run(text='1'):\n    exec(text)\n", "exec"),
        ("import importlib\ndef run(name='x'):\n    return importlib.import_module(name)\n", "dynamic attribute"),
        ("import subprocess\ndef run():\n    return subprocess.run(['./train.sh'])\n", "exec"),
    ],
)
def test_what_cannot_be_followed_is_told_with_its_line(project: Project, code: str, kind: str) -> None:
    found = project.fingerprint(code)
    assert (kind, False) in told(found)
    assert "proj/main.py:" in found.reports[0].message


def test_getattr_on_a_library_or_an_object_needs_no_report(project: Project) -> None:
    code = "import numpy as np\ndef run(frame=None, name='mean'):\n    return getattr(np, name)(frame), getattr(frame, name)\n"  # noqa: E501
    found = project.fingerprint(code)
    assert found.reports == ()
    assert "numpy" in found.distributions


def test_an_object_without_stable_state_is_told_and_its_statement_counts(project: Project) -> None:
    code = "import socket\nS = (i * 2 for i in range(3))\ndef run():\n    return next(S)\n"
    found = project.fingerprint(code)
    assert told(found) == [("opaque object", False)]
    assert "proj.main:S" in found.reports[0].message
    assert project.changes(code, "i * 2", "i * 3")


def test_the_statement_of_an_opaque_object_brings_its_own_helpers(project: Project) -> None:
    code = "def gen():\n    yield 1\nS = gen()\ndef run():\n    return next(S)\n"
    assert project.changes(code, "yield 1", "yield 2")


def test_reports_are_made_again_at_every_call(project: Project) -> None:
    code = 'import os\ndef run():\n    return os.environ.get("MLREPRO_T")\n'
    with project.imported(project.write(code)) as run:
        assert fingerprint(run) == fingerprint(run)
        assert len(fingerprint(run).reports) == 1
    assert "MLREPRO_T" not in os.environ
