"""Fifty-nine edits to a small project: every one that can change a result is noticed, no other is."""

import functools
import sys
from collections.abc import Iterator

import pytest
from code_matrix_edits import EDITS, Edit
from code_matrix_runner import OURS, Tool, another_python

# A class counts whole: what calls its methods may be a library, by any name. So one edit is noticed needlessly.
NOTICED_NEEDLESSLY = {"S15"}

python312 = functools.cache(another_python)


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    pythons = {"3.12": python312() or ""}
    made = Tool(OURS, tmp_path_factory.mktemp("matrix"), pythons)
    yield made
    made.close()


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: f"{edit.id} {edit.what}")
def test_edit(tool: Tool, edit: Edit) -> None:
    if edit.environment.get("python") == "3.12" and sys.version_info[:2] != (3, 12) and python312() is None:
        pytest.skip("needs a second Python: set MLREPRO_TEST_PYTHON312")
    if sys.version_info[:2] == (3, 12) and "python" in edit.environment:
        pytest.skip("this is that Python")
    expected = edit.noticed or edit.id in NOTICED_NEEDLESSLY
    assert tool.notices(edit) == expected


def test_the_matrix_is_whole() -> None:
    hard = [edit for edit in EDITS if not edit.soft]
    assert len(EDITS) == len({edit.id for edit in EDITS}) == 59
    assert sum(edit.noticed for edit in hard) == 34
    assert sum(not edit.noticed for edit in hard) == 17
