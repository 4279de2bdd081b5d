"""Text without quotes, as Go reads it: what is here was read by Helm 4.2."""

import pytest
import yaml

from mlrepro.tenancy.plain_text import reads_as_text
from mlrepro.tenancy.rendering.text import as_yaml

OTHERWISE = (
    *("y", "n", "Y", "yes", "no", "on", "off", "true", "False", "null", "~", ""),
    *("1", "-1", "1.10", "1.", ".5", "+.5", "007", "08", "0812", "0o17", "0x1F", "0b11", "1_000", "+_0", "1__0"),
    *("1e5", "1234567e8", "1E+3", "1.5e-3", ".5e3", ".inf", ".nan", "2026-11-01", "1:30", "=", "<<"),
)
"""What Helm or PyYAML takes for something else."""

AS_TEXT = ("v1", "a1", "1e", "e1", "1a2b3c4", "2.3.1", "500m", "8Gi", "10.20.0.0/24", "_1", "y_", "nan", "1-2", "0xg")


@pytest.mark.parametrize("text", OTHERWISE)
def test_what_is_read_as_something_else_gets_quotes(text: str) -> None:
    assert not reads_as_text(text)
    written = as_yaml({"it": text})
    assert written == f"it: '{text}'\n"
    assert yaml.safe_load(written) == {"it": text}


@pytest.mark.parametrize("text", AS_TEXT)
def test_what_is_a_text_to_everybody_gets_none(text: str) -> None:
    assert reads_as_text(text)
    assert as_yaml({"it": text}) == f"it: {text}\n"
