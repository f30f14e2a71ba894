"""A small real object server: PUT and GET by digest, with a token that may expire."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256


class ObjectServer:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.media_types: dict[str, str] = {}
        self.puts: Counter[str] = Counter()
        self.gets: Counter[str] = Counter()
        self.hold = asyncio.Event()
        """While it is not set, an object is sent but for its last byte."""
        self.hold.set()
        self.tokens = {"first"}
        self.opens: Callable[[str], bool] = lambda token: token in self.tokens
        self.away = False
        self.url = ""
        self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.split("\r\n")
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests += 1
                if self.away:
                    return
                method, target, _ = first.split(" ")
                status, answer = self._answer(method, target, headers, body)
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(answer)}\r\n\r\n".encode())
                writer.write(answer[:-1])
                await self.hold.wait()
                writer.write(answer[-1:])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        prefix, _, digest = target.partition("?")[0].rpartition("/")
        if prefix != "/api/v1/objects":
            return 404, b""
        if not self.opens(headers.get("authorization", "").removeprefix("Bearer ")):
            return 401, b""
        if method == "GET":
            self.gets[digest] += 1
            return (200, self.objects[digest]) if digest in self.objects else (404, b"")
        if sha256(body).hexdigest() != digest:
            return 422, b""
        self.objects[digest] = body
        self.media_types[digest] = headers["content-type"]
        self.puts[digest] += 1
        return 201, b""


@asynccontextmanager
async def object_server(host: str = "127.0.0.1") -> AsyncIterator[ObjectServer]:
    store = ObjectServer()
    server = await asyncio.start_server(store.serve, host, 0)
    store.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield store
    finally:
        store.hold.set()
        server.close()
