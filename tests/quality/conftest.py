from pathlib import Path

import pytest

from tests.definitions.lab import Lab
from tests.quality.lab import ModelLab


@pytest.fixture
def model_lab(tmp_path: Path) -> ModelLab:
    return ModelLab(tmp_path)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)
