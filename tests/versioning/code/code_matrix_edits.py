"""Fifty-nine edits to a small project, and whether a correct tool must notice each.

``S`` edits cannot change a result, ``D`` edits can. Hard rows have one right answer; soft ones are a matter of how
conservative a tool is.
"""

from dataclasses import dataclass, field

from code_matrix_project import PROJECT

PIPELINE = "proj/pipeline.py"
SPECIAL = "proj/special.py"
UTIL = "proj/util.py"
DEEP = "proj/deep.py"
MODELS = "proj/models.py"
BASE_MODELS = "proj/base_models.py"
DECORATORS = "proj/decos.py"


@dataclass(frozen=True)
class Edit:
    """One edit.

    Attributes:
        id: ``S..`` for edits that cannot change a result, ``D..`` for those that can.
        what: In words.
        changes: Replacements, as (file, old, new).
        target: The function to fingerprint.
        soft: A conservative or undecidable case.
        environment: ``root`` (checkout folder), ``hashseed``, ``python`` (minor version), ``env:NAME``.
        renames: Path prefixes and what they become.
    """

    id: str
    what: str
    changes: tuple[tuple[str, str, str], ...] = ()
    target: str = "proj.pipeline:train"
    soft: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    renames: dict[str, str] = field(default_factory=dict)

    @property
    def noticed(self) -> bool:
        """Whether a correct tool notices it."""
        return self.id.startswith("D")

    def project(self) -> dict[str, str]:
        """The project after the edit."""
        files = dict(PROJECT)
        for file, old, new in self.changes:
            assert files[file].count(old) == 1, (self.id, file, old)
            files[file] = files[file].replace(old, new)
        for before, after in self.renames.items():
            files = {
                name.replace(before, after) if name.startswith(before) else name: text for name, text in files.items()
            }
        return files


EDITS = [
    Edit("S01", "no change, new process (control)"),
    Edit("S02", "comment in body changed", changes=((PIPELINE, "# accumulate the loss", "# sum it all up"),)),
    Edit("S03", "docstring changed", changes=((PIPELINE, '"""Train the model."""', '"""Train the model, really."""'),)),
    Edit(
        "S04",
        "reformatted: line wrap + blank line",
        changes=(
            (
                PIPELINE,
                "    total += scale(total) + util.shift(total)\n",
                "\n    total += (\n        scale(total)\n        + util.shift(total)\n    )\n",
            ),
        ),
    ),
    Edit("S05", "quote style", changes=((PIPELINE, 'kind = "alpha" if "alpha" in', "kind = 'alpha' if 'alpha' in"),)),
    Edit(
        "S06",
        "redundant parentheses",
        changes=((PIPELINE, "return total + len(label)", "return (total + len(label))"),),
    ),
    Edit(
        "S07",
        "local variable renamed",
        changes=(
            (
                PIPELINE,
                'label = f"loss={total:.2f}"\n    return total + len(label)',
                'text = f"loss={total:.2f}"\n    return total + len(text)',
            ),
        ),
        soft=True,
    ),
    Edit(
        "S08",
        "type hint changed",
        changes=((PIPELINE, "def train(rows: int = 4) -> float", "def train(rows: int = 4) -> int"),),
        soft=True,
    ),
    Edit(
        "S09",
        "functions reordered in file",
        changes=(
            (PIPELINE, "def _helper_two(x):\n    return x + 1\n\n\n", ""),
            (PIPELINE, "def _unused_helper(x):", "def _helper_two(x):\n    return x + 1\n\n\ndef _unused_helper(x):"),
        ),
    ),
    Edit("S10", "unused helper changed", changes=((PIPELINE, "return x - 1", "return x - 2"),)),
    Edit("S11", "unused constant changed", changes=((PIPELINE, "UNUSED = 10", "UNUSED = 20"),)),
    Edit(
        "S12",
        "unused import added, imports sorted",
        changes=((PIPELINE, "import functools\nimport json\n", "import json\nimport functools\nimport textwrap\n"),),
    ),
    Edit(
        "S13",
        "20 comment lines on top of the file",
        changes=(
            (
                PIPELINE,
                '"""Training pipeline."""\n',
                '"""Training pipeline."""\n' + "# note\n" * 20,
            ),
        ),
    ),
    Edit(
        "S14",
        "helper's comment and docstring changed",
        changes=(
            (
                PIPELINE,
                '    """Helper docs."""\n    # helper comment\n',
                '    """Other docs."""\n    # other comment\n',
            ),
        ),
    ),
    Edit(
        "S15",
        "unused method of a used class changed",
        changes=((MODELS, "        return 0\n", "        return 1\n"),),
        soft=True,
    ),
    Edit(
        "S16",
        "set literal in body reordered",
        changes=((PIPELINE, '{"alpha", "beta", "gamma"}:', '{"gamma", "alpha", "beta"}:'),),
        soft=True,
    ),
    Edit(
        "S17",
        "unused function of a used module changed",
        changes=((UTIL, "def not_used(x):\n    return x\n", "def not_used(x):\n    return x + 1\n"),),
    ),
    Edit("S18", "another user's checkout directory", environment={"root": "someone_else/work"}),
    Edit("S19", "another PYTHONHASHSEED (sets in body and globals)", environment={"hashseed": "7"}),
    Edit("S20", "another Python minor (3.12)", soft=True, environment={"python": "3.12"}),
    Edit(
        "S21",
        "unused third-party library bumped",
        changes=(
            ("_site/otherlib/__init__.py", "1.0.0", "1.1.0"),
            ("_site/otherlib-1.0.0.dist-info/METADATA", "Version: 1.0.0", "Version: 1.1.0"),
        ),
        renames={"_site/otherlib-1.0.0": "_site/otherlib-1.1.0"},
    ),
    Edit(
        "S22",
        "`if __name__ == '__main__'` block added",
        changes=(
            (
                PIPELINE,
                "    x = x * 2\n    return x\n",
                "    x = x * 2\n    return x\n\n\nif __name__ == '__main__':\n    print(train())\n",
            ),
        ),
    ),
    Edit("D01", "constant in body", changes=((PIPELINE, "total = 0.0", "total = 1.0"),)),
    Edit("D02", "operator in body", changes=((PIPELINE, "_helper_one(i) * FACTOR", "_helper_one(i) + FACTOR"),)),
    Edit("D03", "default argument", changes=((PIPELINE, "def train(rows: int = 4)", "def train(rows: int = 5)"),)),
    Edit(
        "D04",
        "kw-only default taken from a global",
        changes=((PIPELINE, "LR = 0.25", "LR = 0.5"),),
        target="proj.pipeline:kwonly",
    ),
    Edit("D05", "module constant used", changes=((PIPELINE, "FACTOR = 3", "FACTOR = 4"),)),
    Edit("D06", "value inside a global dict", changes=((PIPELINE, '"lr": 0.1', '"lr": 0.2'),)),
    Edit("D07", "attribute of a global object", changes=((PIPELINE, "_Settings(2.0)", "_Settings(3.0)"),)),
    Edit("D08", "helper, one level", changes=((PIPELINE, "return _helper_two(x) * 2", "return _helper_two(x) * 3"),)),
    Edit(
        "D09",
        "helper, two levels",
        changes=((PIPELINE, "def _helper_two(x):\n    return x + 1", "def _helper_two(x):\n    return x + 2"),),
    ),
    Edit(
        "D10",
        "helper in other module (from m import f)",
        changes=((UTIL, "return base(x) * 1.5", "return base(x) * 1.6"),),
    ),
    Edit("D11", "helper in other module (m.f)", changes=((UTIL, "return x + OFFSET", "return x - OFFSET"),)),
    Edit("D12", "helper two modules deep", changes=((DEEP, "return x + BASE", "return x - BASE"),)),
    Edit("D13", "constant of another module, used by helper", changes=((UTIL, "OFFSET = 11", "OFFSET = 12"),)),
    Edit("D14", "method of a class used", changes=((MODELS, "return x * self.k", "return x + self.k"),)),
    Edit("D15", "class attribute used", changes=((MODELS, "bias = 0.5", "bias = 0.75"),)),
    Edit("D16", "inherited method, base in other module", changes=((BASE_MODELS, "min(x, 1000)", "min(x, 500)"),)),
    Edit(
        "D17",
        "decorator's body",
        changes=((DECORATORS, "return result + 1", "return result + 2"),),
        target="proj.pipeline:decorated",
    ),
    Edit(
        "D18",
        "decorator's argument",
        changes=((PIPELINE, "@repeat(2)", "@repeat(3)"),),
        target="proj.pipeline:repeated",
    ),
    Edit(
        "D19",
        "body under a decorator",
        changes=((PIPELINE, "return rows * 2.0", "return rows * 2.5"),),
        target="proj.pipeline:decorated",
    ),
    Edit(
        "D20", "closure value", changes=((SPECIAL, "make_scaler(3)", "make_scaler(4)"),), target="proj.special:scaled"
    ),
    Edit("D21", "lambda body", changes=((SPECIAL, "x ** 2", "x ** 3"),), target="proj.special:square"),
    Edit(
        "D22",
        "functools.partial argument",
        changes=((SPECIAL, "functools.partial(helper, 5)", "functools.partial(helper, 6)"),),
        target="proj.special:partial",
    ),
    Edit("D23", "f-string text", changes=((PIPELINE, 'f"loss={total', 'f"loss is {total'),)),
    Edit("D24", "f-string format spec", changes=((PIPELINE, "{total:.2f}", "{total:.4f}"),)),
    Edit(
        "D25",
        "used third-party library bumped",
        changes=(
            ("_site/vendlib/__init__.py", '"1.0.0"', '"2.0.0"'),
            ("_site/vendlib/__init__.py", "x / 10", "x / 20"),
            ("_site/vendlib-1.0.0.dist-info/METADATA", "Version: 1.0.0", "Version: 2.0.0"),
        ),
        renames={"_site/vendlib-1.0.0": "_site/vendlib-2.0.0"},
    ),
    Edit(
        "D26",
        "function reached through a global dict",
        changes=((PIPELINE, "return x + 100", "return x + 200"),),
        target="proj.pipeline:dispatched",
    ),
    Edit(
        "D27",
        "function imported inside the body",
        changes=((DEEP, "return x * 5", "return x * 6"),),
        target="proj.pipeline:local_import",
    ),
    Edit(
        "D28",
        "order of a dict literal (observable)",
        changes=((PIPELINE, '{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),),
        target="proj.pipeline:ordered",
    ),
    Edit(
        "D29",
        "import re-bound (scale2 as scale)",
        changes=((PIPELINE, "from proj.util import scale\n", "from proj.util import scale2 as scale\n"),),
    ),
    Edit("D30", "constant in a generator expression", changes=((PIPELINE, "sum(n * 2 for", "sum(n * 3 for"),)),
    Edit(
        "D31",
        "1 -> True (equal, not identical)",
        changes=((PIPELINE, "return [1, 2]", "return [True, 2]"),),
        target="proj.pipeline:typed",
    ),
    Edit(
        "D32",
        "constants re-split: 1,23 -> 12,3",
        changes=((PIPELINE, "x + 1 - 23", "x + 12 - 3"),),
        target="proj.pipeline:consts",
    ),
    Edit(
        "D33",
        "statements swapped",
        changes=((PIPELINE, "    x = x + 1\n    x = x * 2\n", "    x = x * 2\n    x = x + 1\n"),),
        target="proj.pipeline:swap",
    ),
    Edit("D34", "value in a global set", changes=((PIPELINE, '"gamma", "delta"}', '"gamma", "epsilon"}'),)),
    Edit(
        "D35",
        "getattr(util, 'sh'+'ift') target",
        changes=((UTIL, "return x + OFFSET", "return x - OFFSET"),),
        target="proj.pipeline:dynamic",
        soft=True,
    ),
    Edit(
        "D36",
        "data file read by the function",
        changes=(("proj/conf.json", "3", "4"),),
        target="proj.pipeline:reads_file",
        soft=True,
    ),
    Edit(
        "D37",
        "environment variable read",
        target="proj.pipeline:reads_env",
        soft=True,
        environment={"env:MODE": "prod"},
    ),
]
