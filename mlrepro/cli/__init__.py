"""The `mlrepro` command."""

from mlrepro.cli.main import main

__all__ = ["main"]
