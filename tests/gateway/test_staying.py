"""Prompts after one another on a pool of two backends: what has not changed comes from the cache of the last one's."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.comfyui.client import Client, Graph, Listener, client, colour, empty, node
from tests.http.errands import eventually
from tests.http.person import joined
from tests.http.test_lora_runs import executing
from tests.http.whole import Whole
from tests.sandbox.process import SandboxProcess, sandbox

TIMES = 10


class Window(Struct, frozen=True):
    """An account's client with its socket."""

    face: Client
    line: Listener

    async def prompt(self, graph: Graph) -> list[dict[str, Any]]:
        """What is heard of it."""
        answer = await self.face.http.post(
            "/prompt", json={"prompt": graph, "client_id": self.line.client_id}
        )
        assert answer.status_code == 200, answer.text
        return await self.line.until_over(answer.json()["prompt_id"])


class Pool(Struct, frozen=True):
    whole: Whole
    backends: tuple[SandboxProcess, SandboxProcess]

    @asynccontextmanager
    async def window(self) -> AsyncIterator[Window]:
        async with joined(self.whole) as person:
            made = await person.post("/api-keys", {"name": "comfy", "scopes": ["read", "write"]})
            async with client(f"{self.whole.url}/k/{made['key']}/comfy") as face, face.listen() as line:
                yield Window(face, line)


@pytest.fixture
async def pool(own: Whole, tmp_path: Path) -> AsyncIterator[Pool]:
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(sandbox()) for _ in range(2)]
        folders = tmp_path / "gpu", tmp_path / "models"
        await stack.enter_async_context(executing(own, first.url, *folders, second.url))
        made = Pool(own, (first, second))

        async def both_are_known() -> bool:
            async with made.window() as window:
                return len((await window.face.http.get("/system_stats")).json()["devices"]) == 2

        await eventually(both_are_known)
        yield made


async def test_a_prompt_changed_at_its_end_is_executed_from_there(pool: Pool) -> None:
    image = empty(colour())
    async with pool.window() as window:
        for time in range(TIMES):
            heard = await window.prompt(_scaled_twice(image, width=16 + time))
            assert cached(heard) == (["1", "2"] if time else [])
            assert entered(heard) == (["3", "4"] if time else ["1", "2", "3", "4"])


async def test_the_same_prompt_again_saves_again_and_makes_nothing_anew(pool: Pool) -> None:
    graph = _scaled_twice(empty(colour()), width=16)
    async with pool.window() as window:
        shown = set[str]()
        for time in range(TIMES):
            heard = await window.prompt(graph)
            assert cached(heard) == (["1", "2", "3"] if time else [])
            assert entered(heard) == (["4"] if time else ["1", "2", "3", "4"])
            (file,) = shown_in(heard)
            assert (await window.face.http.get("/view", params=file)).status_code == 200
            shown.add(file["filename"])
    assert shown == {f"stays_{number:05}_.png" for number in range(1, TIMES + 1)}


async def test_two_accounts_in_turns_keep_to_a_backend_each(pool: Pool) -> None:
    """However they begin: when they have come to share one, they come apart."""
    graphs = _scaled_twice(empty(colour()), width=16), _scaled_twice(empty(colour()), width=16)
    async with pool.window() as ann, pool.window() as bob:

        async def stay() -> bool:
            turns = [await each.prompt(graph) for each, graph in zip((ann, bob), graphs, strict=True)]
            return all(cached(heard) == ["1", "2", "3"] for heard in turns)

        await eventually(stay)
        for _ in range(TIMES):
            assert await stay()


def _scaled_twice(image: dict[str, Any], width: int) -> Graph:
    def scaled(source: str, width: int) -> dict[str, Any]:
        size = {"upscale_method": "bilinear", "width": width, "height": 32, "crop": "disabled"}
        return node("ImageScale", image=[source, 0], **size)

    return {
        "1": image,
        "2": scaled("1", 48),
        "3": scaled("2", width),
        "4": node("SaveImage", images=["3", 0], filename_prefix="stays"),
    }


def cached(heard: list[dict[str, Any]]) -> list[str]:
    (told,) = [each["data"]["nodes"] for each in heard if each["type"] == "execution_cached"]
    return sorted(told)


def entered(heard: list[dict[str, Any]]) -> list[str]:
    return [each["data"]["node"] for each in heard if each["type"] == "executing" and each["data"]["node"]]


def shown_in(heard: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [file for each in heard if each["type"] == "executed" for file in each["data"]["output"]["images"]]
