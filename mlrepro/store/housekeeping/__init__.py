"""Looking after a store: garbage collection, checking and repairing, measuring, copying. Needs no lock."""
