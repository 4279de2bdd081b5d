"""Code that uses the standard library, so that its digests hold for one minor version of Python."""

import dataclasses
import enum
import functools
import math
import random
import re
from pathlib import Path

random.seed(20240101)

QUERY = Path(__file__).parent / "query.sql"
WORD = re.compile(r"[a-z]+", re.IGNORECASE)


class Colour(enum.Enum):
    RED = 1
    GREEN = enum.auto()


@dataclasses.dataclass(frozen=True)
class Window:
    size: int = 7
    names: list[str] = dataclasses.field(default_factory=list)

    def over(self, x):
        return x[-self.size :]


@functools.singledispatch
def describe(x):
    return repr(x)


@describe.register
def _(x: int):
    return f"{x:d}"


def scaled(x, k):
    return math.sqrt(x) * k


tripled = functools.partial(scaled, k=3)


def everything(x):
    return tripled(x), describe(x), Window(3).over(x), Colour.RED, WORD.findall("ab")


def reads():
    return QUERY.read_text()
