"""Values in and out of the store: the IO manager, and what it shares with the assets' own functions."""

from mlrepro.io_managers.cache import Cache
from mlrepro.io_managers.input_hash_io_manager import InputHashIOManager

__all__ = ["Cache", "InputHashIOManager"]
