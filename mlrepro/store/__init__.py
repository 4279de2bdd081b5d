"""Where bytes and records live: values, results, histories and leases, behind one URL."""

from mlrepro.store.formats import format_names, loads_as
from mlrepro.store.history import Entry
from mlrepro.store.leases import Claim, Clock, Holder, Lease, LeaseWatch
from mlrepro.store.results import FoundResult
from mlrepro.store.store import Store, open_store
from mlrepro.store.stored import Origin, StoredValue
from mlrepro.store.trust import Trust

__all__ = [
    "Claim",
    "Clock",
    "Entry",
    "FoundResult",
    "Holder",
    "Lease",
    "LeaseWatch",
    "Origin",
    "Store",
    "StoredValue",
    "Trust",
    "format_names",
    "loads_as",
    "open_store",
]
