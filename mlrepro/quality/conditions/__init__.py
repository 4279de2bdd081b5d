"""What can be demanded of a metric, a check, a feed or a run."""
