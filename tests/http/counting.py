"""How many statements an API sends to Postgres, counted on the way, whichever of its connections they take."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

from msgspec.structs import replace

from tests.http.whole import Whole, another_api, beside

Count: TypeAlias = Callable[[], int]
STATEMENTS = (b"E", b"Q")  # Execute, and a simple query
CHUNK = 65_536


class Counter:
    """A socket in a folder that leads to the server of a URL."""

    def __init__(self, url: str, folder: Path) -> None:
        parts, asked = urlsplit(url), parse_qs(urlsplit(url).query)
        self._host, self._port = (
            asked.get("host", [parts.hostname or ""])[0],
            asked.get("port", [parts.port])[0],
        )
        self._folder = folder
        self.count = 0

    def of(self, url: str | None) -> str:
        """The same URL by way of the socket."""
        assert url is not None
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        return urlunsplit(
            parts._replace(netloc=f"{user}@", query=f"host={quote(str(self._folder), safe='/')}&port=5432")
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._serve, self._folder / ".s.PGSQL.5432")
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._host.startswith("/"):
            there, back = await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        else:
            there, back = await asyncio.open_connection(self._host, int(self._port or 5432))
        answers = asyncio.create_task(_pump(there, writer))
        with suppress(asyncio.IncompleteReadError, OSError):
            await self._pass_on(reader, back)
        back.close()
        answers.cancel()
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Message by message: the first has no letter."""
        letter = b""
        while True:
            size = await reader.readexactly(4)
            body = await reader.readexactly(int.from_bytes(size) - 4)
            self.count += letter in STATEMENTS
            back.write(letter + size + body)
            letter = await reader.readexactly(1)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)


@contextmanager
def counting(whole: Whole, folder: Path) -> Iterator[tuple[Whole, Count]]:
    """One more API over the same servers, and how many statements it has sent so far."""
    counter = Counter(whole.database.url, folder)
    settings: dict[str, Any] = {
        name: counter.of(getattr(whole.settings, name)) for name in ("app_database_url", "query_database_url")
    }
    with beside(counter.serving):
        near = replace(whole, settings=replace(whole.settings, **settings))
        with another_api(near) as served:
            yield served, lambda: counter.count
