import random
import subprocess
import sys

import numpy as np
import pytest

from mlrepro.versioning import seed_everything


def test_python_and_numpy_start_again_from_the_seed() -> None:
    draws = []
    for _ in range(2):
        seed_everything(3)
        draws.append((random.random(), np.random.rand()))
    assert draws[0] == draws[1]


def test_torch_starts_again_from_the_seed() -> None:
    torch = pytest.importorskip("torch")
    seed_everything(3)
    first = torch.rand(2)
    seed_everything(3)
    assert torch.equal(torch.rand(2), first)


def test_a_library_that_nobody_uses_is_not_imported() -> None:
    code = (
        "import sys; from mlrepro.versioning import seed_everything; seed_everything(3); print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range(seed: int) -> None:
    with pytest.raises(ValueError, match="from 0 to"):
        seed_everything(seed)
