"""Which network ports are free."""

import random
import socket

from infra.embedded.child import ChildFailedError

LOOPBACK = "127.0.0.1"
ANYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}  # where a server that listens everywhere is reached
# Below the range the kernel takes ports of outgoing connections from: a port stays ours while its server restarts.
CANDIDATES = range(20_000, 32_000)


def choose_port(host: str, wanted: int) -> int:
    """The wanted port if nobody listens on it, else (or for 0) any free one. Raises ChildFailedError."""
    return wanted if wanted and is_free(host, wanted) else free_port(host)


def free_port(host: str = LOOPBACK) -> int:
    """Raises ChildFailedError when a hundred guesses were all taken."""
    for port in random.sample(CANDIDATES, 100):
        if is_free(host, port):
            return port
    raise ChildFailedError(f"No free port was found on {host}.")


def is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # connections that are closing do not count
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
