"""Whether we may listen where we are told to."""

import errno
import socket
import time
from typing import Final

from ledger.cli.faults import CannotGoOn

PATIENCE_SECONDS: Final = 2
"""A ledger that was killed a moment ago takes this long to let go of its port."""
PAUSE_SECONDS: Final = 0.1


def require_free_port(host: str, port: int) -> None:
    """Raise `CannotGoOn` where something else listens there, or where we may not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (fault := _fault(host, port)) is not None:
        if fault.errno != errno.EADDRINUSE:
            raise CannotGoOn(f"Cannot listen on {host} port {port}: {fault.strerror or fault}.")
        if time.monotonic() > deadline:
            raise CannotGoOn(f"Port {port} of {host} is in use: stop what uses it, or choose another with --port.")
        time.sleep(PAUSE_SECONDS)


def _fault(host: str, port: int) -> OSError | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as fault:
        return fault
    return None
