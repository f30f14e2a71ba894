"""Requests and answers on bare ASGI: the sandbox should cost as little as possible."""

from typing import Any
from urllib.parse import parse_qsl, unquote

from msgspec import Struct, json

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
BODY_MAX = 100 * 1024 * 1024


class Request(Struct, frozen=True):
    """`parts`: the path without `/api`, split and decoded. `headers`: lower-case names."""

    method: str
    parts: tuple[str, ...]
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return "/" + "/".join(self.parts)

    def json(self) -> Any:
        """Raises msgspec.DecodeError, RecursionError."""
        return json.decode(self.body)


class Response(Struct, frozen=True):
    status: int = 200
    body: bytes = b""
    media_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


def ok(value: Any, status: int = 200) -> Response:
    return Response(status, json.encode(value), JSON)


BROKEN = Response(500, b"500 Internal Server Error\n\nServer got itself in trouble", TEXT)
TOO_LARGE = Response(413, f"Maximum request body size {BODY_MAX} exceeded.".encode(), TEXT)


class TooLargeError(Exception):
    """A body over the limit."""


async def read(scope: Any, receive: Any) -> Request:
    """Raises TooLargeError."""
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > BODY_MAX:
            raise TooLargeError
        more = message.get("more_body", False)
    parts = tuple(unquote(part) for part in scope["raw_path"].decode("latin-1").split("/")[1:])
    return Request(
        method=scope["method"],
        parts=parts[1:] if parts[0] == "api" else parts,
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        body=b"".join(chunks),
    )


async def answer(send: Any, response: Response, *, head: bool = False) -> None:
    headers = [(b"content-length", str(len(response.body)).encode())]
    if response.media_type is not None:
        headers.append((b"content-type", response.media_type.encode()))
    headers += [(name.encode(), value.encode("utf-8")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else response.body})


def foreign_origin(headers: dict[str, str]) -> bool:
    """With a loopback Host, an Origin of another place is refused."""
    host, origin = headers.get("host", ""), headers.get("origin", "")
    if not origin or host.rpartition(":")[0] not in ("127.0.0.1", "localhost", "[::1]"):
        return False
    return origin.partition("://")[2] != host
