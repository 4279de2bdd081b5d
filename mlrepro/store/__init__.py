"""Where bytes and records live: values, results and histories, behind one URL."""

from mlrepro.store.formats import format_names, loads_as
from mlrepro.store.history import Entry
from mlrepro.store.results import FoundResult
from mlrepro.store.store import Store, open_store
from mlrepro.store.stored import StoredValue

__all__ = ["Entry", "FoundResult", "Store", "StoredValue", "format_names", "loads_as", "open_store"]
