"""Constants."""

RATE = 0.25
UNUSED = 7
