"""Bringing the files that a graph loads to the backend, before the graph: under a name that only their owner has.

The backend says how it calls them. The same file under the same name is kept once, however often it is brought.
"""

import asyncio
from typing import Any

from domain.ids import AccountId, Digest
from services.execution.attempt import Attempt
from services.execution.failures import UNREACHABLE, input_gone
from services.execution.health import Health
from services.execution.needs import Needs
from services.execution.pauses import pauses
from services.ports.backend import BackendLink, BackendUnavailableError, Broken
from services.ports.executing import ObjectRefusedError, ObjectsUnavailableError
from workflows.inputs import placed, referred
from workflows.media import PICTURE, TYPES


async def with_inputs(
    graph: dict[str, Any], attempt: Attempt, link: BackendLink, health: Health, needs: Needs
) -> dict[str, Any]:
    """The graph with the backend's names; what it returns is of no use when the verdict is known."""
    names: dict[Digest, str] = {}
    for digest, ending in referred(graph).items():
        body = await _fetched(digest, attempt, needs)
        wanted = name_of(attempt.assignment.owner, digest, ending)
        if body is None or (name := await _brought(wanted, body, attempt, link, health, needs)) is None:
            return graph
        names[digest] = name
    return placed(graph, names) if names else graph


def name_of(owner: AccountId, digest: Digest, ending: str = PICTURE) -> str:
    return f"comfyplus-{owner.hex}-{digest}{ending}"


async def _fetched(digest: Digest, attempt: Attempt, needs: Needs) -> bytes | None:
    for pause_s in pauses(needs.settings.retry_s):
        if attempt.over:
            return None
        try:
            return await needs.objects.get(digest, attempt.token)
        except ObjectsUnavailableError:
            await asyncio.sleep(pause_s)
        except ObjectRefusedError:
            attempt.settle(Broken(failure=input_gone()))
    raise AssertionError("pauses never end")


async def _brought(
    name: str, body: bytes, attempt: Attempt, link: BackendLink, health: Health, needs: Needs
) -> str | None:
    media_type = TYPES["." + name.rpartition(".")[2]]
    deadline = asyncio.get_running_loop().time() + needs.settings.backend_patience_s
    while not attempt.over:
        try:
            return await link.upload(name, body, media_type)
        except BackendUnavailableError:
            health.suspect()
            patience_s = deadline - asyncio.get_running_loop().time()
            if patience_s <= 0 or not await health.alive_within(patience_s):
                attempt.settle(Broken(failure=UNREACHABLE))
    return None
