"""Three faces of ComfyUI: the sandbox, our gateway over it, and a real one where COMFYUI_URL names it.

With a real one the gateway's backend is that one, so that nothing but the gateway lies between the two.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.comfyui.client import Client, client
from tests.http.errands import eventually
from tests.http.person import joined
from tests.http.test_lora_runs import executing
from tests.http.whole import Whole, beside, whole
from tests.sandbox.process import sandbox
from tests.servers import copied, running_nats


@pytest.fixture(scope="package")
def addresses(
    postgres_url: str, shown_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """By the names of the faces. `engine`: what the gateway has behind it."""
    folder = tmp_path_factory.mktemp("conformance")
    with (
        copied(postgres_url, shown_template) as database,
        running_nats(folder / "nats") as nats,
        whole(database, nats, folder / "data") as running,
    ):
        found: dict[str, str] = {}
        with beside(lambda: _faces(running, folder, found)):
            yield found


@asynccontextmanager
async def _faces(running: Whole, folder: Path, found: dict[str, str]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(sandbox())
        found["sandbox"] = backend.url
        found["engine"] = os.environ.get("COMFYUI_URL", backend.url).rstrip("/")
        await stack.enter_async_context(
            executing(running, found["engine"], folder / "gpu", folder / "models")
        )
        person = await stack.enter_async_context(joined(running))
        made = await person.post("/api-keys", {"name": "comfy", "scopes": ["read", "write"]})
        found["gateway"] = f"{running.url}/k/{made['key']}/comfy"
        face = await stack.enter_async_context(client(found["gateway"]))

        async def is_known() -> bool:
            return bool((await face.http.get("/object_info/EmptyImage")).json())

        await eventually(is_known)  # what backends tell is looked at every second
        yield


@pytest.fixture
async def faces(addresses: dict[str, str]) -> AsyncIterator[dict[str, Client]]:
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(client(address)) for name, address in addresses.items()}
