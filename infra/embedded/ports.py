"""Which network ports are free, and that they stay so until somebody listens there."""

import os
import random
import socket
from collections import deque

from infra.embedded.child import ChildFailedError

LOOPBACK = "127.0.0.1"
ANYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}  # where a server that listens everywhere is reached
# Below the range the kernel takes ports of outgoing connections from: a port stays ours while its server restarts.
CANDIDATES = range(20_000, 32_000)
KEPT = 64  # whoever asked for a port so many ports ago has long begun to listen

_kept: deque[tuple[int, int]] = deque()
"""Processes, and descriptors in them."""


def choose_port(host: str, wanted: int) -> int:
    """The wanted port if nobody listens on it, else (or for 0) any free one. Raises ChildFailedError."""
    return wanted if wanted and (_keep(host, wanted) or is_free(host, wanted)) else free_port(host)


def free_port(host: str = LOOPBACK) -> int:
    """It is kept for who listens there next. Raises ChildFailedError when a hundred guesses were all taken."""
    for port in random.sample(CANDIDATES, 100):
        if _keep(host, port):
            return port
    raise ChildFailedError(f"No free port was found on {host}.")


def is_free(host: str, port: int) -> bool:
    with _unbound(host) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # connections that are closing do not count
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _keep(host: str, port: int) -> bool:
    """No other process that chooses a port gets this one from now on.

    Linux lets a server bind to where a socket is that does not listen, if both say that the address may be used
    again. The socket says so only once it is bound: until then it has the port for itself, or not at all.
    """
    with _unbound(host) as taken:
        try:
            taken.bind((host, port))
        except OSError:
            return False
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _kept.append((os.getpid(), taken.detach()))
    if len(_kept) > KEPT:
        process, descriptor = _kept.popleft()
        if process == os.getpid():  # else we are a copy of it, and have other files by now
            os.close(descriptor)
    return True


def _unbound(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
