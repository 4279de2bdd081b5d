"""The code fingerprint: from a definition, everything that it can reach, hashed."""
