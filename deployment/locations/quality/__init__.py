"""Team quality: what is promoted is watched, and taken back by itself where it does worse than it should."""
