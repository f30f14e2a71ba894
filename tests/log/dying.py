"""A way to a PostgreSQL server that ends as a killed one does: with last words, and the last command unread."""

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict, make_conninfo

CHUNK = 64 * 1024
_SAID = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0"
LAST_WORDS = b"E" + (len(_SAID) + 4).to_bytes(4, "big") + _SAID
"""An ErrorResponse. Source: PostgreSQL documentation, message formats."""


@contextmanager
def dying_server(url: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Another address of the server, and what makes it die, once, when the next command has arrived there."""
    dying = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_serve, args=(door, url, dying), daemon=True).start()
        port = door.getsockname()[1]
        try:
            yield make_conninfo(url, host="127.0.0.1", port=port, sslmode="disable"), dying.set
        finally:
            door.shutdown(socket.SHUT_RDWR)


def _serve(door: socket.socket, url: str, dying: threading.Event) -> None:
    while True:
        try:
            client, _ = door.accept()
        except OSError:
            return
        with client, _server(url) as server:
            _relay(client, server, dying)


def _relay(client: socket.socket, server: socket.socket, dying: threading.Event) -> None:
    """Until one of them hangs up, or the client says something to a dying server."""
    while True:
        readable, _, _ = select.select([client, server], [], [])
        for source, target in ((client, server), (server, client)):
            if source not in readable:
                continue
            if source is client and dying.is_set():
                dying.clear()
                client.sendall(LAST_WORDS)
                return
            if not (chunk := source.recv(CHUNK)):
                return
            target.sendall(chunk)


def _server(url: str) -> socket.socket:
    parts = conninfo_to_dict(url)
    host, port = str(parts["host"]), int(str(parts["port"]))
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server
