"""The `mlrepro` command."""

from mlrepro.cli.app import main

__all__ = ["main"]
