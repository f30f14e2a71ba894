"""Objects by links that lead beside the API, to where they are kept. Not every executor can reach that place."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

logger = logging.getLogger(__name__)

AGAIN_S = 300.0  # so long no link is followed after one that led to nobody
WAIT_S = 120.0
TIMES = {"connect": 10.0, "read": WAIT_S, "write": WAIT_S, "pool": WAIT_S}


class Nowhere(Exception):
    """The link leads to nobody, or is not good any more: ask the API."""


class Beside:
    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self._from = 0.0

    @property
    def reachable(self) -> bool:
        """As far as we know."""
        return asyncio.get_running_loop().time() >= self._from

    @asynccontextmanager
    async def get(self, link: str) -> AsyncIterator[httpx.Response]:
        """Raises Nowhere before there is an answer, and what httpx raises while it is read."""
        response = await self._asked(httpx.Request("GET", link, extensions={"timeout": TIMES}))
        assert isinstance(response.stream, httpx.AsyncByteStream)
        try:
            if response.status_code != 200:
                raise Nowhere
            yield response
        finally:
            await response.stream.aclose()

    async def put(self, link: str, body: bytes) -> None:
        """Raises Nowhere."""
        response = await self._asked(httpx.Request("PUT", link, content=body, extensions={"timeout": TIMES}))
        assert isinstance(response.stream, httpx.AsyncByteStream)
        await response.stream.aclose()
        if response.status_code != 200:
            raise Nowhere

    async def _asked(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._transport.handle_async_request(request)
        except httpx.TransportError as error:
            self._from = asyncio.get_running_loop().time() + AGAIN_S
            told = {"host": request.url.host, "reason": type(error).__name__}
            logger.warning("objects go through the API", extra=told)
            raise Nowhere from error
