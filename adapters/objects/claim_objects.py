"""The object store as an executor reaches it: over the API, with the token of its claim."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

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


class HttpClaimObjects:
    """Implements ClaimObjects. `url` is the API's address, without `/api/v1`."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport) -> None:
        base = httpx.URL(url)
        self._base = base.copy_with(raw_path=b"/")
        self._path = base.raw_path.rstrip(b"/") + b"/api/v1/objects/"
        self._host = (b"host", base.netloc)
        self._transport = transport

    async def get(self, digest: Digest, token: str) -> bytes:
        return await self._ask("GET", digest, token)

    @asynccontextmanager
    async def download(self, digest: Digest, token: str) -> AsyncIterator[Coming]:
        request = self._request("GET", digest, token)
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.TransportError as error:
            raise ObjectsUnavailableError(AWAY) from error
        assert isinstance(response.stream, httpx.AsyncByteStream)
        try:
            _check(response.status_code)
            size_bytes = response.headers.get("content-length", "")
            if not size_bytes.isdigit():
                raise ObjectsUnavailableError("The object store does not say how large the object is.")
            yield Coming(int(size_bytes), _pieces(response.stream))
        finally:
            await response.stream.aclose()

    async def put(self, digest: Digest, body: bytes, media_type: str, token: str) -> None:
        await self._ask("PUT", digest, token, body, media_type)

    async def _ask(
        self, method: str, digest: Digest, token: str, body: bytes | None = None, media_type: str = ""
    ) -> bytes:
        request = self._request(method, digest, token, body, media_type)
        try:
            response = await self._transport.handle_async_request(request)
            answer = await _read(response)
        except httpx.TransportError as error:
            raise ObjectsUnavailableError(AWAY) from error
        _check(response.status_code)
        return answer

    def _request(
        self, method: str, digest: Digest, token: str, body: bytes | None = None, media_type: str = ""
    ) -> httpx.Request:
        headers = [self._host, (b"authorization", b"Bearer " + token.encode("ascii"))]
        if media_type:
            headers.append((b"content-type", media_type.encode("ascii")))
        return httpx.Request(
            method,
            self._base,
            headers=headers,
            content=body,
            extensions={
                "target": self._path + digest.encode("ascii"),
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


async def _pieces(stream: httpx.AsyncByteStream) -> AsyncIterator[bytes]:
    try:
        async for chunk in stream:
            yield chunk
    except httpx.TransportError as error:
        raise ObjectsUnavailableError(AWAY) from error


async def _read(response: httpx.Response) -> bytes:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    chunks, size = [], 0
    try:
        async for chunk in response.stream:
            size += len(chunk)
            if size > MAX_OBJECT:
                raise ObjectRefusedError("The object is larger than an executor reads.")
            chunks.append(chunk)
    finally:
        await response.stream.aclose()
    return b"".join(chunks)
