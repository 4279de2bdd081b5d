"""What a server's own log must not hold: credentials in headers, and codes of logins.

At the levels debug and trace, uvicorn writes down the headers of websockets and each request's scope.
"""

import logging
import re
from collections.abc import Iterable
from typing import Final

_LOGGERS: Final = ("uvicorn.access", "uvicorn.error", "uvicorn.asgi")
_ALWAYS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})
_HIDDEN: Final = "[hidden]"
_PARAMETER: Final = re.compile(r"\b(code|state|session_state|id_token|access_token)=[^&\s'\"]+")


class Redaction(logging.Filter):
    """Hides credentials in what a logger writes.

    Args:
        headers: Names of headers that hold such, besides those that do everywhere.
    """

    def __init__(self, headers: Iterable[str] = ()) -> None:
        super().__init__()
        self.headers = _ALWAYS | {name.lower() for name in headers}
        self._line = re.compile(
            rf"([<>] (?:{'|'.join(map(re.escape, sorted(self.headers)))}): ).*", re.IGNORECASE | re.DOTALL
        )

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, without what it must not hold."""
        text = record.getMessage()
        hidden = self._line.sub(rf"\g<1>{_HIDDEN}", text)
        if "/auth/" in text:
            hidden = _hide_parameters(hidden)
        if hidden != text and isinstance(record.args, tuple) and record.name == "uvicorn.access":
            # its formatter takes the parts
            record.args = tuple(_hide_parameters(arg) if isinstance(arg, str) else arg for arg in record.args)
        elif hidden != text:
            record.msg, record.args = hidden, ()
        return True


def hide_in_server_logs(headers: Iterable[str]) -> None:
    """Hide credentials in the logs of the server that this program runs.

    Args:
        headers: Names of headers that hold such, besides those that do everywhere.
    """
    wanted = Redaction(headers)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, Redaction) and known.headers == wanted.headers for known in logger.filters):
            logger.addFilter(wanted)


def _hide_parameters(text: str) -> str:
    return _PARAMETER.sub(rf"\g<1>={_HIDDEN}", text)
