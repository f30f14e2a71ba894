"""One request of a ComfyUI client, and what it is answered."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qs

import msgspec
from litestar.types import Receive
from msgspec import Struct

from adapters.http.bodies import NUL
from adapters.http.callers import Caller
from adapters.http.gateway.shared import Shared
from adapters.http.parts import Parts
from adapters.http.problems import Malformed, TooLarge
from adapters.http.reads import Reader
from commands.streams import Context
from domain.ids import account_actor

T = TypeVar("T")

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
SMALL_BYTES = 1024 * 1024
"""More than anything has that is neither a graph nor a file."""


class Answer(Struct, frozen=True, kw_only=True):
    """`stream`: the body piece by piece, in place of `body`."""

    status: int = 200
    body: bytes = b""
    media_type: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    stream: AsyncIterator[bytes] | None = None


Handler: TypeAlias = Callable[["Call"], Awaitable[Answer]]


class Call:
    """`names`: what stands in the variable places of the route, decoded. `client`: where it comes from."""

    __slots__ = (*("_receive", "caller", "headers", "method", "names", "parts", "query", "scope", "shared"),)

    def __init__(
        self,
        scope: Any,
        receive: Receive,
        parts: Parts,
        caller: Caller,
        names: Mapping[str, str],
        shared: Shared,
    ) -> None:
        self.scope = scope
        self.parts = parts
        self.caller = caller
        self.names = names
        self.shared = shared
        self.method: str = scope["method"]
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        found = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        self.query: Mapping[str, str] = {name: values[-1] for name, values in found.items()}
        self._receive = receive

    def header(self, name: str) -> str:
        return self.headers.get(name.encode(), b"").decode("latin-1")

    def context(self) -> Context:
        """The envelope of what this call wishes."""
        return Context(actor=account_actor(self.caller.account), correlation=self.parts.new_id())

    async def reader(self) -> Reader:
        """The caller's view, with everything that has happened so far: these clients cannot say what they have seen."""
        return Reader(self.parts.reads, self.caller.account, await self.parts.own.head())

    async def body(self, limit: int = SMALL_BYTES) -> bytes:
        """Raises TooLarge."""
        pieces, size = [], 0
        async for piece in self.pieces():
            size += len(piece)
            if size > limit:
                raise TooLarge(f"The request has more than {limit} bytes.")
            pieces.append(piece)
        return b"".join(pieces)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Malformed where the client goes away in the middle."""
        more = True
        while more:
            message: Any = await self._receive()
            if message["type"] == "http.disconnect":
                raise Malformed("The request was cut off.")
            more = message.get("more_body", False)
            yield message.get("body", b"")

    async def json(self, kind: type[T], limit: int = SMALL_BYTES) -> T:
        """Whatever the Content-Type says. Raises Malformed, TooLarge."""
        return read(await self.body(limit), kind)


def read(body: bytes, kind: type[T]) -> T:
    """Raises Malformed, also for another shape."""
    if b"\\u0000" in body and NUL.search(body):
        raise Malformed("The JSON contains the NUL character, which cannot be stored.")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"The body cannot be read: {error}.") from error
    except RecursionError as error:
        raise Malformed("The JSON is nested too deeply.") from error


def json(content: Any, status: int = 200) -> Answer:
    return Answer(status=status, body=msgspec.json.encode(content), media_type=JSON)


def raw_json(body: bytes) -> Answer:
    return Answer(body=body, media_type=JSON)


def text(said: str, status: int = 200) -> Answer:
    return Answer(status=status, body=said.encode(), media_type=TEXT)


DONE = Answer()
"""200 and nothing more: what ComfyUI says to most wishes."""
