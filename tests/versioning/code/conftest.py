"""Fixtures of the fingerprint's tests."""

from pathlib import Path

import pytest
from throwaway_project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
