"""How a run skips work: the look-up of a step, the cache-first executor, replayed events, plans."""
