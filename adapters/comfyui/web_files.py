"""The files that a ComfyUI's custom nodes bring for the editor: the scripts that it lists, and what those name."""

import asyncio
from collections import deque
from urllib.parse import quote, unquote

from msgspec import Struct, field

from adapters.comfyui.client import Client
from workflows.web_files import FOLDER, MAX_FILE_BYTES, named_in, usable

MAX_FILES = 2_000
MAX_BYTES = 32 << 20  # of one backend's, together
MAX_MISSES = 1_000  # names that only looked like files
AGAIN_S = 3_600.0  # what is listed may have another content: looked at anew after a while


class WebSeen(Struct):
    """What was fetched before."""

    listed: tuple[str, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    at: float = float("-inf")


async def web_files(client: Client, seen: WebSeen) -> dict[str, bytes]:
    """By path below `/extensions/`. Raises BackendUnavailableError."""
    listed = tuple(sorted({path for each in await client.extensions() if usable(path := _path(each))}))
    now = asyncio.get_running_loop().time()
    if listed != seen.listed or now - seen.at > AGAIN_S:
        seen.files = await _fetched(client, listed)
        seen.listed, seen.at = listed, now
    return seen.files


async def _fetched(client: Client, listed: tuple[str, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    asked, waiting = set(listed), deque(listed)
    size = misses = 0
    while waiting and len(found) < MAX_FILES and misses < MAX_MISSES:
        path = waiting.popleft()
        body = await client.web_file(FOLDER + quote(path), MAX_FILE_BYTES)
        if body is None or size + len(body) > MAX_BYTES:
            misses += 1
            continue
        found[path] = body
        size += len(body)
        more = [each for each in named_in(path, body) if each not in asked]
        asked.update(more)
        waiting.extend(more)
    return found


def _path(address: str) -> str:
    return unquote(address).removeprefix(FOLDER) if address.startswith(FOLDER) else ""
