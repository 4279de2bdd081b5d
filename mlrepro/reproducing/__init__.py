"""Computing a version again from its record, and launching a run again as it was."""

from mlrepro.reproducing.reproduce import reproduce
from mlrepro.reproducing.reproduction import Reproduction
from mlrepro.reproducing.rerun import Rerun, rerun

__all__ = ["Reproduction", "Rerun", "reproduce", "rerun"]
