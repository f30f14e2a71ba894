"""The object store as an executor reaches it: over the API, with the token of its claim.

What is large goes beside the API by links that the API gives; where they lead nowhere, through it as all else.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import msgspec
from msgspec import Struct

from adapters.objects.beside import Beside, Nowhere
from adapters.objects.together import Together
from domain.ids import Digest
from services.ports.executing import (
    Coming,
    ObjectRefusedError,
    ObjectsUnavailableError,
    TokenRefusedError,
)

ANSWER_S = 120.0  # the store may be slow to take a large file
AWAY = "The object store cannot be reached."
MAX_OBJECT = 64 << 20  # what an executor reads are graphs
NONE = Digest("")  # names all objects
DIRECT_BYTES = 1 << 20  # what is smaller is there sooner than a link to it


class Place(Struct, frozen=True):
    """`GET /objects/{digest}/place`: where the bytes are to be PUT."""

    url: str


class HttpClaimObjects:
    """Implements ClaimObjects. `url` is the API's address, without `/api/v1`."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport) -> None:
        base = httpx.URL(url)
        self._base = base.copy_with(raw_path=b"/")
        self._path = base.raw_path.rstrip(b"/") + b"/api/v1/objects/"
        self._host = (b"host", base.netloc)
        self._transport = transport
        self._beside = Beside(transport)
        self._together = Together(self._put_all)

    async def get(self, digest: Digest, token: str) -> bytes:
        async with self._coming(digest, token) as response:
            return await _read(response)

    @asynccontextmanager
    async def download(self, digest: Digest, token: str) -> AsyncIterator[Coming]:
        async with self._coming(digest, token) as response:
            size_bytes = response.headers.get("content-length", "")
            if not size_bytes.isdigit():
                raise ObjectsUnavailableError("The object store does not say how large the object is.")
            yield Coming(int(size_bytes), _pieces(response))

    async def put(self, digest: Digest, body: bytes, media_type: str, token: str) -> None:
        if len(body) >= DIRECT_BYTES and self._beside.reachable:
            try:
                await self._put_beside(digest, body, token)
                return
            except TokenRefusedError:
                raise
            except (ObjectRefusedError, Nowhere, msgspec.DecodeError):
                pass  # the API takes it, or says what is wrong with it
        if not await self._together.put(digest, body, token):
            await self._ask("PUT", digest, token, body, media_type)

    async def _put_all(self, objects: Mapping[Digest, bytes], token: str) -> None:
        sizes = ",".join(f"{digest}:{len(body)}" for digest, body in objects.items())
        bodies = b"".join(objects.values())
        await self._ask("PUT", NONE, token, bodies, "application/octet-stream", then=f"?sizes={sizes}")

    async def _put_beside(self, digest: Digest, body: bytes, token: str) -> None:
        place = await self._ask("GET", digest, token, then=f"/place?size_bytes={len(body)}")
        await self._beside.put(msgspec.json.decode(place, type=Place).url, body)
        await self._ask("PUT", digest, token, then="/place")

    @asynccontextmanager
    async def _coming(self, digest: Digest, token: str) -> AsyncIterator[httpx.Response]:
        """The answer that has the object, wherever it comes from."""
        then = "?direct=true" if self._beside.reachable else ""
        async with self._answer(self._request("GET", digest, token, then=then)) as response:
            link = response.headers.get("location") if response.status_code == 307 else None
            if link is None:
                _check(response.status_code)
                yield response
                return
        try:
            async with self._beside.get(link) as response:
                yield response
                return
        except Nowhere:
            pass
        async with self._answer(self._request("GET", digest, token)) as response:
            _check(response.status_code)
            yield response

    async def _ask(
        self,
        method: str,
        digest: Digest,
        token: str,
        body: bytes = b"",
        media_type: str = "",
        *,
        then: str = "",
    ) -> bytes:
        request = self._request(method, digest, token, body, media_type, then=then)
        async with self._answer(request) as response:
            answer = await _read(response)
        _check(response.status_code)
        return answer

    @asynccontextmanager
    async def _answer(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.TransportError as error:
            raise ObjectsUnavailableError(AWAY) from error
        assert isinstance(response.stream, httpx.AsyncByteStream)
        try:
            yield response
        finally:
            await response.stream.aclose()

    def _request(
        self,
        method: str,
        digest: Digest,
        token: str,
        body: bytes = b"",
        media_type: str = "",
        *,
        then: str = "",
    ) -> httpx.Request:
        headers = [
            self._host,
            (b"authorization", b"Bearer " + token.encode("ascii")),
            (b"content-length", b"%d" % len(body)),
        ]
        if media_type:
            headers.append((b"content-type", media_type.encode("ascii")))
        return httpx.Request(
            method,
            self._base,
            headers=headers,
            stream=httpx.ByteStream(body),  # `content` would have httpx look for headers that it could add
            extensions={
                "target": self._path + f"{digest}{then}".encode("ascii"),
                "timeout": {"connect": 10.0, "read": ANSWER_S, "write": ANSWER_S, "pool": ANSWER_S},
            },
        )


def _check(status: int) -> None:
    if status in (401, 403):
        raise TokenRefusedError("The object store does not accept the token.")
    if status in (408, 425, 429) or status >= 500:
        raise ObjectsUnavailableError(f"The object store answered {status}.")
    if not 200 <= status < 300:
        raise ObjectRefusedError(f"The object store answered {status}.")


async def _pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        async for chunk in response.stream:
            yield chunk
    except httpx.TransportError as error:
        raise ObjectsUnavailableError(AWAY) from error


async def _read(response: httpx.Response) -> bytes:
    chunks, size = [], 0
    async for chunk in _pieces(response):
        size += len(chunk)
        if size > MAX_OBJECT:
            raise ObjectRefusedError("The object is larger than an executor reads.")
        chunks.append(chunk)
    return b"".join(chunks)
