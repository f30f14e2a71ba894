"""Who hears what, interrupts, and the queue: what several clients of one ComfyUI see of each other."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import websockets
from msgspec import json

from tests.comfyui.client import Client, Graph, Listener, plain_graph, types
from workflows.protocol.history import ending
from workflows.protocol.queue import decode_queue, decode_status, in_order


async def test_without_a_client_id_progress_goes_to_everybody_and_the_rest_to_nobody(server: Client) -> None:
    async with server.listen() as listener:
        prompt_id = await server.submit(plain_graph())
        entry = await server.ended(prompt_id)
        assert entry.status is not None
        assert entry.status.completed
        await server.run(listener, plain_graph())  # everything about the first was said before
        assert set(types(listener.about(prompt_id))) == {"progress_state"}


async def test_others_hear_the_queues_length_only(server: Client) -> None:
    async with server.listen() as mine, server.listen() as other:
        entry, _ = await server.run(mine, plain_graph())
        await server.run(other, plain_graph())
        assert other.about(entry.prompt.prompt_id) == []


async def test_the_server_makes_up_a_client_id(server: Client) -> None:
    async with websockets.connect(server.url.replace("http", "ws", 1) + "/ws", close_timeout=1) as socket:
        first = json.decode(await socket.recv())
        assert first["type"] == "status"
        assert first["data"]["sid"]


async def test_feature_flags_are_answered_when_they_come_first(server: Client) -> None:
    async with server.listen(flags={"supports_preview_metadata": True}) as listener:
        answer = listener.heard[-1]["data"]
        assert answer["supports_preview_metadata"] is True
        assert answer["max_upload_size"] > 0


async def test_other_texts_from_clients_are_ignored(server: Client) -> None:
    async with server.listen() as listener:
        for text in ("not json", "{}", '{"type":"whatever","data":{}}'):
            await listener.socket.send(text)
        _, said = await server.run(listener, plain_graph())
        assert said[-1]["type"] == "executing"


async def test_of_two_sockets_with_one_id_the_newer_hears_until_the_older_closes(server: Client) -> None:
    sid = f"double-{uuid4().hex}"
    async with server.listen(sid) as newer_first:
        older = newer_first
        async with server.listen(sid) as newer:
            entry, _ = await server.run(newer, plain_graph())
            assert older.about(entry.prompt.prompt_id) == []
            await older.socket.close()
            heard = len(newer.heard)
            async with server.listen() as witness:
                prompt_id = await server.submit(plain_graph(), client_id=sid)
                await server.ended(prompt_id)
                await server.run(witness, plain_graph())
            pong = await newer.socket.ping()
            await pong  # whatever was sent before has arrived
            assert len(newer.heard) == heard
            assert await _silent(newer)


async def _silent(listener: Listener) -> bool:
    try:
        async with asyncio.timeout(0.05):
            await listener.socket.recv()
    except TimeoutError:
        return True
    return False


async def test_a_client_that_comes_back_learns_the_running_node(
    server: Client, slow: Callable[[], Graph]
) -> None:
    sid = f"back-{uuid4().hex}"
    async with server.listen(sid) as listener:
        prompt_id = await server.submit(slow(), client_id=sid)
        await listener.until(lambda message: message["type"] == "executing")
    async with server.listen(sid) as again:
        message = await again.until(lambda message: message["type"] == "executing")
        assert list(message["data"]) == ["node"]
        await server.post("/interrupt", {"prompt_id": prompt_id})
        said = await again.until_over(prompt_id)
        assert types(said)[-2:] == ["execution_interrupted", "executing"]


async def test_an_interrupted_prompt_is_an_error_that_says_so(
    server: Client, slow: Callable[[], Graph]
) -> None:
    async with server.listen() as listener:
        prompt_id = await server.submit(slow(), client_id=listener.client_id)
        await listener.until(lambda message: message["type"] == "executing")
        for stranger in (str(uuid4()), ""):
            if stranger:
                assert (await server.post("/interrupt", {"prompt_id": stranger})).status_code == 200
        answer = await server.post("/interrupt", {"prompt_id": prompt_id})
        assert (answer.status_code, answer.content) == (200, b"")
        said = await listener.until_over(prompt_id)
        assert "execution_success" not in types(said)
        interrupted = said[-2]
        assert interrupted["type"] == "execution_interrupted"
        assert set(interrupted["data"]) == {"prompt_id", "node_id", "node_type", "executed", "timestamp"}
        entry = (await server.history(prompt_id))[prompt_id]
        assert entry.status is not None
        assert (entry.status.status_str, entry.status.completed) == ("error", False)
        assert ending(entry.status)[0] == "execution_interrupted"


async def test_the_queue_shows_runs_by_number_and_removes_in_silence(
    server: Client, slow: Callable[[], Graph]
) -> None:
    async with server.listen() as listener:
        blocker = await server.submit(slow(), client_id=listener.client_id)
        await server.running(blocker)
        mark = uuid4().hex
        wanted = {
            f"{mark}-{name}": number
            for name, number in (("late", 1e6 + 2), ("b", 1e6), ("a", 1e6), ("gone", 1e6 + 1))
        }
        for prompt_id, number in wanted.items():
            await server.submit(
                plain_graph(), client_id=listener.client_id, prompt_id=prompt_id, number=number
            )
        queue = decode_queue((await server.http.get("/queue")).content)
        assert queue.queue_running[0].prompt_id == blocker
        mine = [waiting for waiting in in_order(queue.queue_pending) if waiting.prompt_id.startswith(mark)]
        assert [waiting.prompt_id.removeprefix(f"{mark}-") for waiting in mine] == ["a", "b", "gone", "late"]
        assert mine[0].extra_data["client_id"] == listener.client_id
        assert mine[0].outputs == ("3",)
        assert decode_status((await server.http.get("/prompt")).content).exec_info.queue_remaining >= 5
        answer = await server.post("/queue", {"delete": [f"{mark}-gone", "unknown", blocker]})
        assert (answer.status_code, answer.content) == (200, b"")
        assert (await server.post("/interrupt", {"prompt_id": f"{mark}-late"})).status_code == 200
        await server.post("/interrupt", {"prompt_id": blocker})
        await listener.until_over(f"{mark}-late")
        started = [
            message["data"]["prompt_id"] for message in listener.heard if message["type"] == "execution_start"
        ]
        assert started == [blocker, f"{mark}-a", f"{mark}-b", f"{mark}-late"]
        assert await server.history(f"{mark}-gone") == {}


async def test_an_idle_interrupt_does_not_hit_the_next_prompt(server: Client) -> None:
    async with server.listen() as listener:
        assert (await server.post("/interrupt", {"prompt_id": str(uuid4())})).status_code == 200
        entry, _ = await server.run(listener, plain_graph())
        assert entry.status is not None
        assert entry.status.completed
