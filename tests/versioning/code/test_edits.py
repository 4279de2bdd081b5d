"""What real code is made of: an edit that can change a result changes the fingerprint, another does not.

The cases are in ``edits/*.txt``. A case starts at ``===`` with its name; ``---`` starts another module than
``proj/main.py``; ``~ "old" -> "new"`` is an edit that must be noticed, ``=`` one that must not; ``! part of a message``
is what must be told of the code, of which there is nothing to tell otherwise.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from throwaway_project import Project


@dataclass
class Case:
    name: str
    files: dict[str, str] = field(default_factory=lambda: {"proj/__init__.py": "", "proj/main.py": ""})
    noticed: list[tuple[str, str]] = field(default_factory=list)
    unnoticed: list[tuple[str, str]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


EDIT = re.compile(r'([~=]) (".*") -> (".*")')


def read_cases() -> list[Case]:
    cases: list[Case] = []
    for path in sorted((Path(__file__).parent / "edits").glob("*.txt")):
        module = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            edit = EDIT.fullmatch(line)
            if line.startswith("=== "):
                cases.append(Case(line[4:]))
                module = "proj/main.py"
            elif line.startswith("--- "):
                module = line[4:]
                cases[-1].files[module] = ""
            elif line.startswith("! "):
                cases[-1].told.append(line[2:])
            elif edit:
                kind, old, new = edit.groups()
                edits = cases[-1].noticed if kind == "~" else cases[-1].unnoticed
                edits.append((json.loads(old), json.loads(new)))
            else:
                cases[-1].files[module] += line + "\n"
    return cases


CASES = read_cases()


def edits(kind: str) -> list[object]:
    return [
        pytest.param(case, old, new, id=f"{case.name}: {old.strip()[:30]!r} to {new.strip()[:30]!r}")
        for case in CASES
        for old, new in getattr(case, kind)
    ]


@pytest.mark.parametrize(("case", "old", "new"), edits("noticed"))
def test_an_edit_that_can_change_a_result_is_noticed(project: Project, case: Case, old: str, new: str) -> None:
    assert project.changes(case.files, old, new)


@pytest.mark.parametrize(("case", "old", "new"), edits("unnoticed"))
def test_an_edit_that_cannot_change_a_result_is_not(project: Project, case: Case, old: str, new: str) -> None:
    assert not project.changes(case.files, old, new)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_nothing_is_told_of_ordinary_code(project: Project, case: Case) -> None:
    reports = project.fingerprint(case.files).reports
    assert len(reports) == len(case.told)
    for report, part in zip(reports, case.told, strict=True):
        assert part in report.message
