"""The project that the edits of the matrix are made to: six modules, a data file, and two installed libraries."""

PROJECT = {
    "proj/__init__.py": "",
    "proj/deep.py": """
BASE = 7

def base(x):
    return x + BASE

def late(x):
    return x * 5
""",
    "proj/util.py": """
from proj.deep import base

OFFSET = 11

def scale(x):
    return base(x) * 1.5

def scale2(x):
    return base(x) * 1.75

def shift(x):
    return x + OFFSET

def not_used(x):
    return x
""",
    "proj/base_models.py": """
class BaseModel:
    def clip(self, x):
        return min(x, 1000)
""",
    "proj/models.py": """
from proj.base_models import BaseModel

class Model(BaseModel):
    bias = 0.5

    def __init__(self, k):
        self.k = k

    def predict(self, x):
        return self.clip(self._inner(x)) + self.bias

    def _inner(self, x):
        return x * self.k

    def never_called(self):
        return 0
""",
    "proj/decos.py": """
import functools

def timed(fn):
    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        result = fn(*args, **kwargs)
        return result + 1
    return wrapper

def repeat(n):
    def deco(fn):
        @functools.wraps(fn)
        def wrapper(*args, **kwargs):
            out = 0
            for _ in range(n):
                out += fn(*args, **kwargs)
            return out
        return wrapper
    return deco
""",
    "proj/conf.json": """\
{"depth": 3}
""",
    "proj/special.py": """
import functools

def helper(x):
    return x + 1

def make_scaler(k):
    def scaled(x=1.0):
        return x * k
    return scaled

scaled = make_scaler(3)

square = lambda x=2: x ** 2

partial = functools.partial(helper, 5)
""",
    "proj/pipeline.py": '''
"""Training pipeline."""
import functools
import json
import os
import pathlib

import vendlib

from proj import util
from proj.decos import repeat, timed
from proj.models import Model
from proj.util import scale

FACTOR = 3
UNUSED = 10
LR = 0.25
PARAMS = {"lr": 0.1, "layers": [4, 8]}
ALLOWED = {"alpha", "beta", "gamma", "delta"}


class _Settings:
    def __init__(self, gain):
        self.gain = gain


SETTINGS = _Settings(2.0)


def _helper_two(x):
    return x + 1


def _helper_one(x):
    """Helper docs."""
    # helper comment
    return _helper_two(x) * 2


def _unused_helper(x):
    return x - 1


def train(rows: int = 4) -> float:
    """Train the model."""
    # accumulate the loss
    total = 0.0
    for i in range(rows):
        total += _helper_one(i) * FACTOR
    total += scale(total) + util.shift(total)
    total += Model(2).predict(total)
    total += PARAMS["lr"] + SETTINGS.gain
    total += vendlib.norm(total)
    kind = "alpha" if "alpha" in ALLOWED else "beta"
    if kind in {"alpha", "beta", "gamma"}:
        total += 1
    total += sum(n * 2 for n in range(3))
    label = f"loss={total:.2f}"
    return total + len(label)


@timed
def decorated(rows: int = 4) -> float:
    return rows * 2.0


@repeat(2)
def repeated(rows: int = 4) -> float:
    return rows * 3.0


def kwonly(*, lr: float = LR) -> float:
    return lr * 2


def _reg_a(x):
    return x + 100


REGISTRY = {"a": _reg_a}


def dispatched(x: int = 1) -> float:
    return REGISTRY["a"](x)


def local_import(x: int = 1) -> float:
    from proj.deep import late
    return late(x)


def ordered() -> list:
    return list({"a": 1, "b": 2})


def typed() -> list:
    return [1, 2]


def consts(x: int = 5) -> int:
    return x + 1 - 23


def dynamic(x: int = 1) -> float:
    return getattr(util, "sh" + "ift")(x)


def reads_file() -> int:
    return json.loads((pathlib.Path(__file__).parent / "conf.json").read_text())["depth"]


def reads_env() -> str:
    return os.environ.get("MODE", "default")


def swap(x: int = 3) -> float:
    x = x + 1
    x = x * 2
    return x
''',
    "_site/vendlib/__init__.py": """\
__version__ = "1.0.0"

def norm(x):
    return x / 10
""",
    "_site/vendlib-1.0.0.dist-info/METADATA": """\
Metadata-Version: 2.1
Name: vendlib
Version: 1.0.0
""",
    "_site/vendlib-1.0.0.dist-info/RECORD": """\
vendlib/__init__.py,,
vendlib-1.0.0.dist-info/METADATA,,
vendlib-1.0.0.dist-info/RECORD,,
""",
    "_site/vendlib-1.0.0.dist-info/top_level.txt": """\
vendlib
""",
    "_site/otherlib/__init__.py": """\
__version__ = "1.0.0"

def f(x):
    return x
""",
    "_site/otherlib-1.0.0.dist-info/METADATA": """\
Metadata-Version: 2.1
Name: otherlib
Version: 1.0.0
""",
    "_site/otherlib-1.0.0.dist-info/RECORD": """\
otherlib/__init__.py,,
otherlib-1.0.0.dist-info/METADATA,,
""",
    "_site/otherlib-1.0.0.dist-info/top_level.txt": """\
otherlib
""",
}
