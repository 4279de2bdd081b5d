"""Code that uses nothing but the language: its digests hold for every minor version of Python."""

from golden_project import settings
from golden_project.model import Ridge, Scaler

COLUMNS = ["age", "fare"]
LIMITS = {"low": 0.1, "high": (0.9, None, True), "names": {"a", "b"}, "raw": b"\x00\x01"}
STEPS = {}


def step(name):
    def put(function):
        STEPS[name] = function
        return function

    return put


@step("shift")
def shift(x, by=1, *, scale=2.5):
    return (x + by) * scale


@step("double")
def double(x: int) -> int:
    return x * 2


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def power(exponent):
    def raised(x):
        return x**exponent

    return raised


square = power(2)


def expressions(frame, *rows, flag=False, **options):
    """Every kind of statement that is written often."""
    total = 0
    for index, (name, value) in enumerate(options.items()):
        if flag and (size := len(name)) > 3:
            total += size
        elif value is None or index in (1, 2):
            continue
        else:
            total -= {k: v for k, v in zip(rows, rows, strict=True) if k}[index]
    try:
        with frame as opened:
            match opened:
                case {"kind": "a", **rest}:
                    return rest
                case [first, *_] if first:
                    return f"{first!r:>{total}}"
    except (KeyError, ValueError) as error:
        raise RuntimeError("no") from error
    finally:
        del frame
    return [lambda x, y=total: x + y, not flag, -total, rows[1:2], settings.RATE]


def constants():
    return COLUMNS, LIMITS


def registry(x):
    return [function(x) for function in STEPS.values()]


def recursion(n):
    return even(n)


def closure(x):
    return square(x)


def classes(x):
    return Ridge(Scaler(), strength=0.5).fit(x)


def hints():
    return double.__annotations__


def subclasses():
    return [cls.__name__ for cls in Scaler.__subclasses__()]


async def waiting(source):
    async for item in source:
        yield await item
