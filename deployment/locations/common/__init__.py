"""The feature pipeline that both teams build on: New York's departing flights of 2013, with weather and planes."""
