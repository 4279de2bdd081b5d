"""Signals of the programs that tests start."""

from typing import Final

HEEDING: Final = ["env", "--default-signal=INT"]
"""Before a command that is to heed SIGINT: what is started by tests in the background ignores it."""
