"""The webserver with identity and permissions."""
