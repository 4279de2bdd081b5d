"""How a run skips work: the look-up of a step, the cache-first executor, replayed events, plans."""

from mlrepro.execution.cache_first import cache_first

__all__ = ["cache_first"]
