"""Seeding the random number generators that a computation may use."""

import random
import sys
from collections.abc import Collection


def seed_everything(seed: int, *, libraries: Collection[str] = ()) -> None:
    """Seed `random`, numpy and torch.

    A library is seeded if it is imported already or is among `libraries`; importing torch takes seconds, which a
    computation without it should not pay.

    Args:
        seed: A whole number from 0 to 2**32 - 1, numpy's range.
        libraries: Distributions that the computation will use, which its code fingerprint names.

    Raises:
        ValueError: If the seed is out of range.

    Example:
        >>> seed_everything(7)
        >>> first = random.random()
        >>> seed_everything(7)
        >>> random.random() == first
        True
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"a seed is a whole number from 0 to 2**32 - 1, not {seed}")
    random.seed(seed)
    if "numpy" in sys.modules or "numpy" in libraries:
        import numpy as np

        np.random.seed(seed)  # the legacy global generator is what libraries draw from
    if "torch" in sys.modules or "torch" in libraries:
        import torch

        torch.manual_seed(seed)
