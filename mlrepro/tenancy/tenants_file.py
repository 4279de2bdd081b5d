"""``tenants.yaml`` for processes that run on: whoever is removed from it has lost their rights at once."""

import logging
import os
import threading
from pathlib import Path
from typing import Final

from mlrepro.errors import TenantsError
from mlrepro.tenancy.model import Tenants
from mlrepro.tenancy.reading import load_tenants

VARIABLE: Final = "MLREPRO_TENANTS"
"""Environment variable with the path of ``tenants.yaml``."""

_logger = logging.getLogger("mlrepro")


class TenantsFile:
    """A ``tenants.yaml`` that is read again when it has changed.

    A change that can't be read, or that `mlrepro tenants check` would refuse, is reported once, and what was read
    before goes on to hold.

    Args:
        path: The file. Default: the one that ``MLREPRO_TENANTS`` names.

    Raises:
        TenantsError: No file is named.

    Example:
        ``TenantsFile("tenants.yaml").tenants.roles("ana@example.com")``
    """

    def __init__(self, path: str | Path | None = None) -> None:
        named = path or os.environ.get(VARIABLE)
        if not named:
            raise TenantsError(f"no tenants.yaml is named: set {VARIABLE}, or give its path")
        self.path = Path(named)
        self._seen: tuple[int, int, int] | None = None
        self._tenants: Tenants | None = None
        self._lock = threading.Lock()

    @property
    def tenants(self) -> Tenants:
        """What the file says now.

        Raises:
            TenantsError: It can't be read, and never could be.
        """
        with self._lock:
            state = self._state()
            if self._tenants is not None and state == self._seen:
                return self._tenants
            try:
                self._tenants = load_tenants(self.path)
            except TenantsError as error:
                if self._tenants is None:
                    raise
                _logger.warning(f"{self.path} was changed, and what it said before still holds: {error}")
            self._seen = state
            return self._tenants

    def _state(self) -> tuple[int, int, int] | None:
        # a ConfigMap's file is a link that is set to another file, and editors write new files: both show in the inode
        try:
            found = self.path.stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino)
