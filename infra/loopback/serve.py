"""`comfyplus gateway`: that port, until it is told to stop."""

import asyncio
from collections.abc import Callable

import httpx
import uvicorn

from infra.loopback.app import BELOW, Loopback

HOST = "127.0.0.1"
MAX_SOCKET_BYTES = 16 * 2**20
LOOK_S = 10.0


class NotServedError(Exception):
    """The port cannot be what it is to be."""


def serve(url: str, key: str, port: int, say: Callable[[str], None]) -> None:
    """Raises NotServedError."""
    _look(url, key, say)
    asyncio.run(_serve(Loopback(url, key, port), port, say))


def server(app: Loopback, port: int) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=HOST,
            port=port,
            ws="websockets-sansio",
            ws_max_size=MAX_SOCKET_BYTES,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            proxy_headers=False,
        )
    )


async def _serve(app: Loopback, port: int, say: Callable[[str], None]) -> None:
    serving = server(app, port)
    say(f"This account's ComfyUI is at http://{HOST}:{port}; the editor as well. Ctrl+C ends it.")
    try:
        await serving.serve()
    except SystemExit as error:  # uvicorn's way to say that the port is taken
        raise NotServedError(f"Port {port} is taken. Name another one with --port.") from error
    finally:
        await app.aclose()


def _look(url: str, key: str, say: Callable[[str], None]) -> None:
    """Whether the key opens anything there. Raises NotServedError."""
    try:
        with httpx.Client(timeout=LOOK_S, trust_env=False) as http:
            answer = http.get(f"{url.rstrip('/')}{BELOW.decode()}/prompt", headers={"X-API-Key": key})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        say(f"ComfyUI Plus cannot be reached at {url} yet: {error}")
        return
    if answer.status_code in (401, 403):
        raise NotServedError("This API key opens nothing there: it is unknown, expired or revoked.")
