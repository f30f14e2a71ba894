"""Sends a webhook and reads the beginning of the answer: the Post port, over the guarded transport."""

import asyncio
from collections.abc import Mapping

import httpx

from adapters.outbound.guard import Guard
from adapters.outbound.transport import KeptTransport
from services.ports.delivering import Answer

READ_BYTES = 1024
AGENT = "ComfyUI-Plus-Webhooks/1"
TIMEOUTS = {"connect": 5.0, "read": 15.0}
SWEEP_S = 10.0
GOING_ON_S = 2.0  # for the rest of an answer, once its status is there


class WebhookPost:
    """Redirects are not followed; whatever goes wrong is an Answer."""

    def __init__(self, guard: Guard) -> None:
        self._transport = KeptTransport(httpx.create_ssl_context(), resolve=guard, most_bytes=64 * 1024)
        self._swept_at = 0.0

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self._sweep()
        try:
            request = httpx.Request(
                "POST",
                url,
                headers={**headers, "user-agent": AGENT, "accept-encoding": "identity"},
                content=body,
                extensions={"timeout": TIMEOUTS, "repeatable": True},
            )
            answer = await self._transport.handle_async_request(request)
        except httpx.TimeoutException as error:
            return Answer(None, error=str(error))
        except (httpx.TransportError, httpx.InvalidURL, OSError, ValueError) as error:
            return Answer(None, error=f"It could not be reached: {error}"[:500])
        try:
            beginning = await _beginning(answer)
        finally:
            await answer.aclose()
        return Answer(answer.status_code, beginning, answer.headers.get("retry-after", "")[:100])

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _sweep(self) -> None:
        """Endpoints come and go: none may keep a connection for ever."""
        now = asyncio.get_running_loop().time()
        if now - self._swept_at > SWEEP_S:
            self._swept_at = now
            self._transport.drop_idle()


async def _beginning(answer: httpx.Response) -> bytes:
    """What comes of it soon: the status has been given, whatever happens to the rest."""
    beginning = b""
    try:
        async with asyncio.timeout(GOING_ON_S):
            async for chunk in answer.aiter_raw():
                beginning += chunk
                if len(beginning) >= READ_BYTES:
                    break
    except (TimeoutError, httpx.TransportError):
        return beginning[:READ_BYTES]
    return beginning[:READ_BYTES]
