"""Small edits of the kind that real code sees, one function each: noticed if they can change a result."""

import pytest
from throwaway_project import Project


def files(main: str, **modules: str) -> dict[str, str]:
    """A project of a main module and others by name."""
    return {"proj/__init__.py": "", "proj/main.py": main, **{f"proj/{name}.py": text for name, text in modules.items()}}


NOTICED = {
    "threshold in config module via attribute": (
        files(
            """\
from proj import cfg
def run(x=1):
    return x > cfg.THRESH
""",
            cfg="THRESH=0.5\n",
        ),
        "0.5",
        "0.6",
    ),
    "dataclass config instance global": (
        files("""\
from dataclasses import dataclass
@dataclass
class C:
    lr: float = 0.1
CFG = C()
def run():
    return CFG.lr
"""),
        "0.1",
        "0.2",
    ),
    "dict of lambdas": (
        files("""\
FE = {'a': lambda d: d + 1}
def run(x=1):
    return {k: f(x) for k, f in FE.items()}
"""),
        "d + 1",
        "d + 2",
    ),
    "list of column names": (
        files("""\
COLS = ['a', 'b']
def run(df=None):
    return df[COLS]
"""),
        "'b'",
        "'c'",
    ),
    "list order": (
        files("""\
COLS = ['a', 'b']
def run(df=None):
    return df[COLS]
"""),
        "['a', 'b']",
        "['b', 'a']",
    ),
    "sklearn pipeline global": (
        files("""\
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler, FunctionTransformer
def lg(x):
    return x * 2
P = Pipeline([('s', StandardScaler()), ('f', FunctionTransformer(lg))])
def run():
    return P
"""),
        "x * 2",
        "x * 3",
    ),
    "sklearn pipeline param": (
        files("""\
from sklearn.preprocessing import StandardScaler
def make():
    return StandardScaler(with_mean=True)
def run():
    return make()
"""),
        "True",
        "False",
    ),
    "custom transformer subclass": (
        files("""\
from sklearn.base import BaseEstimator
class T(BaseEstimator):
    def fit(self, X):
        return self
    def transform(self, X):
        return X * 2
def run():
    return T()
"""),
        "X * 2",
        "X * 3",
    ),
    "mixin from other module": (
        files(
            """\
from proj.m import Mix
class A(Mix):
    pass
def run():
    return A().go()
""",
            m="class Mix:\n    def go(self):\n        return 1\n",
        ),
        "return 1",
        "return 2",
    ),
    "helper through class attr staticmethod alias": (
        files("""\
def h(x):
    return x
class A:
    go = staticmethod(h)
def run():
    return A.go(1)
"""),
        "return x\n",
        "return -x\n",
    ),
    "default factory function": (
        files("""\
from dataclasses import dataclass, field
def mk():
    return [1]
@dataclass
class C:
    a: list = field(default_factory=mk)
def run():
    return C()
"""),
        "[1]",
        "[2]",
    ),
    "getter via property on global instance": (
        files("""\
class A:
    @property
    def k(self):
        return 3
a = A()
def run():
    return a.k
"""),
        "return 3",
        "return 4",
    ),
    "instance method monkeypatched on instance": (
        files("""\
class A:
    def f(self):
        return 1
a = A()
a.f = lambda: 2
def run():
    return a.f()
"""),
        "lambda: 2",
        "lambda: 3",
    ),
    "class monkeypatched": (
        files("""\
class A:
    def f(self):
        return 1
def g(self):
    return 5
A.f = g
def run():
    return A().f()
"""),
        "return 5",
        "return 6",
    ),
    "helper returned by factory imported": (
        files(
            """\
from proj.m import make
h = make('a')
def run(x=1):
    return h(x)
""",
            m="TABLE = {'a': 2, 'b': 3}\ndef make(k):\n    v = TABLE[k]\n    def f(x):\n        return x * v\n    return f\n",
        ),
        "'a': 2",
        "'a': 9",
    ),
    "generator helper": (
        files("""\
def g(n):
    yield from range(n)
def run():
    return list(g(3))
"""),
        "g(3)",
        "g(4)",
    ),
    "global in nested function": (
        files("""\
K = 1
def run():
    def a():
        def b():
            return K
        return b()
    return a()
"""),
        "K = 1",
        "K = 2",
    ),
    "global in comprehension condition": (
        files("""\
K = 1
def run():
    return [x for x in range(3) if x > K]
"""),
        "K = 1",
        "K = 2",
    ),
    "global in default of inner lambda": (
        files("""\
K = 1
def run():
    return (lambda x=K: x)()
"""),
        "K = 1",
        "K = 2",
    ),
    "global in f-string spec": (
        files("""\
W = 3
def run(x=1):
    return f'{x:.{W}f}'
"""),
        "W = 3",
        "W = 4",
    ),
    "conversion in f-string": (
        files("""\
def run(x=1):
    return f'{x!r}'
"""),
        "!r",
        "!s",
    ),
    "f-string debug": (
        files("""\
def run(x=1):
    return f'{x=}'
"""),
        "{x=}",
        "{x}",
    ),
    "decorated method": (
        files("""\
def d(f):
    def w(self):
        return f(self) + 1
    return w
class A:
    @d
    def f(self):
        return 1
def run():
    return A().f()
"""),
        "+ 1",
        "+ 2",
    ),
    "class decorator": (
        files("""\
def d(k):
    def w(c):
        c.k = k
        return c
    return w
@d(3)
class A:
    pass
def run():
    return A.k
"""),
        "d(3)",
        "d(4)",
    ),
    "enum auto order": (
        files("""\
import enum
class E(enum.Enum):
    A = enum.auto()
    B = enum.auto()
def run():
    return E.A.value
"""),
        "    A = enum.auto()\n    B = enum.auto()\n",
        "    B = enum.auto()\n    A = enum.auto()\n",
    ),
    "IntFlag": (
        files("""\
import enum
class E(enum.IntFlag):
    A = 1
    B = 2
X = E.A | E.B
def run():
    return X
"""),
        "E.A | E.B",
        "E.A",
    ),
    "async helper": (
        files("""\
async def h():
    return 1
async def run():
    return await h()
"""),
        "return 1",
        "return 2",
    ),
    "with context class": (
        files("""\
class C:
    def __enter__(self):
        return 1
    def __exit__(self, *a):
        return False
def run():
    with C() as c:
        return c
"""),
        "return 1",
        "return 2",
    ),
    "exception class": (
        files("""\
class Bad(ValueError):
    code = 1
def run(x=1):
    try:
        raise Bad
    except Bad as e:
        return e.code
"""),
        "code = 1",
        "code = 2",
    ),
    "operator precedence": (
        files("""\
def run(a=1, b=2, c=3):
    return (a + b) * c
"""),
        "(a + b) * c",
        "a + b * c",
    ),
    "chained compare": (
        files("""\
def run(a=1, b=2, c=3):
    return a < b < c
"""),
        "a < b < c",
        "(a < b) < c",
    ),
    "is vs ==": (
        files("""\
def run(a=1):
    return a is None
"""),
        "is None",
        "== None",
    ),
    "augmented order": (
        files("""\
def run(a=1):
    a += 1
    a *= 2
    return a
"""),
        "a += 1\n    a *= 2",
        "a *= 2\n    a += 1",
    ),
    "indent change": (
        files("""\
def run(a=1):
    for i in range(3):
        a += 1
        a *= 2
    return a
"""),
        "        a *= 2",
        "    a *= 2",
    ),
    "else moved": (
        files("""\
def run(a=1):
    for i in range(3):
        if i:
            a += 1
        else:
            a = 0
    return a
"""),
        "        else:\n            a = 0",
        "    else:\n        a = 0",
    ),
    "slice step": (
        files("""\
def run(a=()):
    return a[1:2:3], a[1:2]
"""),
        "a[1:2:3]",
        "a[1:2:4]",
    ),
    "slice none variants": (
        files("""\
def run(a=()):
    return a[1:]
"""),
        "a[1:]",
        "a[:1]",
    ),
    "keyword to positional": (
        files("""\
def h(a, b=1):
    return a
def run():
    return h(1, b=2)
"""),
        "h(1, b=2)",
        "h(1, 2)",
    ),
    "keyword name": (
        files("""\
def h(**k):
    return k
def run():
    return h(a=1)
"""),
        "a=1",
        "b=1",
    ),
    "star vs double star": (
        files("""\
def h(*a, **k):
    return a
def run(z={}):
    return h(*z)
"""),
        "*z",
        "**z",
    ),
    "tuple unpack order": (
        files("""\
def run(z=(1,2)):
    a, b = z
    return a
"""),
        "a, b = z",
        "b, a = z",
    ),
    "return in finally": (
        files("""\
def run():
    try:
        return 1
    finally:
        pass
"""),
        "pass",
        "return 2",
    ),
    "global write target": (
        files("""\
A = 1
B = 1
def run():
    global A
    A = 5
    return A, B
"""),
        "global A\n    A = 5",
        "global B\n    B = 5",
    ),
    "attr store target": (
        files("""\
class C: pass
c = C()
def run():
    c.x = 1
    return c
"""),
        "c.x",
        "c.y",
    ),
    "del vs load": (
        files("""\
def run(d={}):
    del d['a']
    return d
"""),
        "del d['a']",
        "d['a']",
    ),
    "yield vs yield from": (
        files("""\
def run(x=()):
    yield x
"""),
        "yield x",
        "yield from x",
    ),
    "lambda default vs body": (
        files("""\
def run():
    return (lambda a, b=1: a)(1)
"""),
        "a, b=1: a",
        "a, b=2: a",
    ),
    "posonly": (
        files("""\
def run(a, /, b=1):
    return a
"""),
        "a, /, b=1",
        "a, b=1",
    ),
    "two globals swapped": (
        files("""\
A = 1
B = 2
def run():
    return A - B
"""),
        "A - B",
        "B - A",
    ),
    "two helpers swapped impl": (
        files("""\
def a(x):
    return x + 1
def b(x):
    return x * 2
def run(x=1):
    return a(b(x))
"""),
        "a(b(x))",
        "b(a(x))",
    ),
    "same-form helpers bound differently": (
        files("""\
def a(x):
    return x + K
def b(x):
    return x + L
K = 1
L = 2
def run(x=1):
    return a(x), b(x)
"""),
        "K = 1\nL = 2",
        "K = 2\nL = 1",
    ),
    "mutual recursion rewire": (
        files("""\
def a(n):
    return b(n-1) if n else 0
def b(n):
    return c(n-1) if n else 1
def c(n):
    return a(n-1) if n else 2
def run():
    return a(3)
"""),
        "return c(n-1)",
        "return a(n-1)",
    ),
    "self recursion vs other": (
        files("""\
def a(n):
    return a(n-1) if n else 0
def b(n):
    return n
def run():
    return a(3), b(1)
"""),
        "return a(n-1)",
        "return b(n-1)",
    ),
    "np random seed const": (
        files("""\
import numpy as np
SEED = 3
def run():
    return np.random.default_rng(SEED)
"""),
        "SEED = 3",
        "SEED = 4",
    ),
    "star import shadow": (
        files(
            """\
from proj.a import *
from proj.b import *
def run():
    return h()
""",
            a="def h():\n    return 1\n",
            b="def h():\n    return 2\n",
        ),
        "from proj.a import *\nfrom proj.b import *",
        "from proj.b import *\nfrom proj.a import *",
    ),
    "subpackage init reexport": (
        {
            "proj/__init__.py": "",
            "proj/sub/__init__.py": "from .impl import go\n",
            "proj/sub/impl.py": "def go():\n    return 1\n",
            "proj/main.py": "from proj.sub import go\ndef run():\n    return go()\n",
        },
        "return 1",
        "return 2",
    ),
    "module __getattr__": (
        files(
            """\
from proj import lazy
def run():
    return lazy.thing()
""",
            lazy="def _impl():\n    return 1\ndef __getattr__(n):\n    if n == 'thing':\n        return _impl\n    raise AttributeError(n)\n",
        ),
        "return 1",
        "return 2",
    ),
    "jinja-like template constant": (
        files("""\
SQL = '''select {a}
-- c
from t'''
def run():
    return SQL.format(a=1)
"""),
        "-- c",
        "-- d",
    ),
    "regex in body": (
        files("""\
import re
def run(s=''):
    return re.sub('a+', ' ', s)
"""),
        "a+",
        "b+",
    ),
    "unused global dict mutated by used function": (
        files("""\
STATE = {}
def put():
    STATE['k'] = 1
def run():
    put()
    return STATE
"""),
        "= 1",
        "= 2",
    ),
    "protocol/generic class": (
        files("""\
from typing import Generic, TypeVar
T = TypeVar('T')
class Box(Generic[T]):
    def get(self):
        return 1
B = Box[int]
def run():
    return B().get()
"""),
        "return 1",
        "return 2",
    ),
    "total_ordering": (
        files("""\
import functools
@functools.total_ordering
class A:
    def __init__(self, v):
        self.v = v
    def __lt__(self, o):
        return self.v < o.v
    def __eq__(self, o):
        return self.v == o.v
def run():
    return A(1) >= A(2)
"""),
        "self.v < o.v",
        "self.v > o.v",
    ),
    "user __eq__ in dataclass": (
        files("""\
from dataclasses import dataclass
@dataclass
class A:
    v: int
    def __eq__(self, o):
        return 1
def run():
    return A(1) == A(2)
"""),
        "return 1",
        "return 2",
    ),
    "user __init__ in namedtuple-like": (
        files("""\
import collections
class P(collections.namedtuple('P', 'a b')):
    def __new__(cls, a):
        return super().__new__(cls, a, 1)
def run():
    return P(1)
"""),
        "a, 1)",
        "a, 2)",
    ),
    "singledispatchmethod": (
        files("""\
import functools
class A:
    @functools.singledispatchmethod
    def f(self, x):
        return 0
    @f.register
    def _(self, x: int):
        return 1
def run():
    return A().f(1)
"""),
        "return 1",
        "return 2",
    ),
    "contextmanager decorator": (
        files("""\
from contextlib import contextmanager
@contextmanager
def cm():
    yield 1
def run():
    with cm() as c:
        return c
"""),
        "yield 1",
        "yield 2",
    ),
    "functools.wraps wrapper defaults": (
        files("""\
import functools
def deco(f, k=2):
    @functools.wraps(f)
    def w(*a):
        return f(*a) * k
    return w
@deco
def h(x):
    return x
def run():
    return h(1)
"""),
        "k=2",
        "k=3",
    ),
    "helper unused arg default from function call": (
        files("""\
def d():
    return 5
def run(x=d()):
    return x
"""),
        "return 5",
        "return 6",
    ),
}


NOT_NOTICED = {
    "cython-like: module constant via __all__": (
        files(
            """\
from proj import a
def run():
    return a.K
""",
            a="K = 1\nJ = 2\n",
        ),
        "J = 2",
        "J = 3",
    ),
    "unused class": (
        files("""\
class Unused:
    x = 1
def run():
    return 1
"""),
        "x = 1",
        "x = 2",
    ),
    "import order": (
        files("""\
import os
import sys
def run():
    return os.sep, sys.maxsize
"""),
        "import os\nimport sys",
        "import sys\nimport os",
    ),
    "class methods reordered": (
        files("""\
class A:
    def f(self):
        return 1
    def g(self):
        return 2
def run():
    return A().f()
"""),
        "    def f(self):\n        return 1\n    def g(self):\n        return 2\n",
        "    def g(self):\n        return 2\n    def f(self):\n        return 1\n",
    ),
    "decorator formatting": (
        files("""\
def d(a, b):
    return lambda f: f
@d(1, 2)
def h():
    return 1
def run():
    return h()
"""),
        "@d(1, 2)",
        "@d(\n    1,\n    2,  # c\n)",
    ),
    "annotation only local": (
        files("""\
def run():
    x: 'list[int]' = []
    return x
"""),
        "x: 'list[int]' = []",
        "x = []",
    ),
    "type alias in hints": (
        files("""\
A = int
def run(x: A = 1) -> A:
    return x
"""),
        "A = int",
        "A = float",
    ),
    "logger name": (
        files("""\
import logging
log = logging.getLogger('a')
def run():
    log.info('x')
    return 1
"""),
        "'a'",
        "'b'",
    ),
    "int literal spelling": (
        files("""\
def run():
    return 1000, 0x10, 'a' 'b'
"""),
        "1000, 0x10, 'a' 'b'",
        "1_000, 16, 'ab'",
    ),
    "float spelling": (
        files("""\
def run():
    return 1.50
"""),
        "1.50",
        "1.5",
    ),
    "dunder all / main guard": (
        files("""\
def run():
    return 1
"""),
        "def run",
        "__all__ = ['run']\ndef run",
    ),
    "loop var rename": (
        files("""\
def run(n=3):
    return sum(i for i in range(n))
"""),
        "i for i in",
        "j for j in",
    ),
    "except as rename": (
        files("""\
def run():
    try:
        return 1
    except ValueError as e:
        return e
"""),
        "as e:\n        return e",
        "as err:\n        return err",
    ),
}


@pytest.mark.parametrize("case", NOTICED.values(), ids=NOTICED)
def test_an_edit_is_noticed(project: Project, case: tuple[dict[str, str], str, str]) -> None:
    sources, old, new = case
    assert project.changes(sources, old, new)


@pytest.mark.parametrize("case", NOT_NOTICED.values(), ids=NOT_NOTICED)
def test_an_edit_is_not_noticed(project: Project, case: tuple[dict[str, str], str, str]) -> None:
    sources, old, new = case
    assert not project.changes(sources, old, new)


@pytest.mark.parametrize("case", [*NOTICED.values(), *NOT_NOTICED.values()], ids=[*NOTICED, *NOT_NOTICED])
def test_nothing_is_told_of_ordinary_code(project: Project, case: tuple[dict[str, str], str, str]) -> None:
    assert project.fingerprint(case[0]).reports == ()
