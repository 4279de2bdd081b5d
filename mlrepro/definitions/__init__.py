"""What users write: assets, sources and definitions."""

from mlrepro.definitions.file_source import file_source
from mlrepro.definitions.ml_asset import ml_asset
from mlrepro.definitions.ml_definitions import ml_definitions
from mlrepro.definitions.ml_multi_asset import ml_multi_asset

__all__ = ["file_source", "ml_asset", "ml_definitions", "ml_multi_asset"]
