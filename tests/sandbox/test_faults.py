"""Each switch of the sandbox does what it says, and nothing when it is off."""

import asyncio
import contextlib
import signal
import time

import httpx
import pytest
import websockets

from tests.comfyui.client import Client, client, empty, node, plain_graph, types
from tests.sandbox.process import SandboxProcess, sandbox
from workflows.protocol.frames import ProgressText
from workflows.protocol.history import ending


async def run_until_dead(server: Client) -> None:
    """Queue a graph and hear the connection break, without a close frame."""
    async with server.listen() as listener:
        with contextlib.suppress(httpx.TransportError):  # it may die before it has answered
            await server.submit(plain_graph(), client_id=listener.client_id)
        with pytest.raises(websockets.ConnectionClosedError) as broken:
            await listener.until(lambda message: False)
        assert broken.value.rcvd is None


async def test_a_well_behaved_sandbox_lists_its_switches(server: Client) -> None:
    async with server.listen() as listener:
        entry, _ = await server.run(listener, plain_graph())
        assert entry.status is not None
        assert entry.status.completed
    assert (await server.http.get("/sandbox/faults")).json()["send_twice"] is False


async def test_an_unknown_switch_is_refused(server: Client) -> None:
    answer = await server.post("/sandbox/faults", {"explode": True})
    assert answer.status_code == 400
    assert "explode" in answer.text


async def test_nodes_take_time(server: Client, process: SandboxProcess) -> None:
    await process.misbehave(node_time_s=0.2, slow_nodes=["ImageScale"])
    async with server.listen() as listener:
        began = time.monotonic()
        await server.run(listener, plain_graph())
        assert 0.2 <= time.monotonic() - began < 0.4


async def test_a_slow_node_can_be_interrupted(server: Client, process: SandboxProcess) -> None:
    await process.misbehave(node_time_s=60)
    async with server.listen() as listener:
        prompt_id = await server.submit(plain_graph(), client_id=listener.client_id)
        await listener.until(lambda message: message["type"] == "executing")
        await server.post("/interrupt", {"prompt_id": prompt_id})
        said = await listener.until_over(prompt_id)
        assert said[-2]["type"] == "execution_interrupted"
        assert said[-2]["data"]["node_type"] == "EmptyImage"


async def test_it_crashes_at_the_nth_prompt() -> None:
    async with sandbox(crash_at_prompt=2) as process, client(process.url) as server:
        async with server.listen() as listener:
            await server.run(listener, plain_graph())
        await run_until_dead(server)
        assert await process.ended() == 1


async def test_it_crashes_at_a_node_and_forgets_everything() -> None:
    async with sandbox() as process:
        async with client(process.url) as server:
            async with server.listen() as listener:
                entry, _ = await server.run(listener, plain_graph())
            await process.misbehave(crash_at_node="SaveImage")
            await run_until_dead(server)
        assert await process.ended() == 1
        await process.start()
        async with client(process.url) as server:
            assert await server.history(entry.prompt.prompt_id) == {}
            assert await server.queue() == {"queue_running": [], "queue_pending": []}
            name = {"filename": entry.outputs["3"]["images"][0]["filename"]}
            assert (await server.http.get("/view", params=name)).status_code == 200


async def test_it_crashes_after_the_file_and_before_the_history() -> None:
    async with sandbox(crash_before_history=True) as process:
        async with client(process.url) as server:
            await run_until_dead(server)
        await process.ended()
        assert len(list((process.directory / "base" / "output").iterdir())) == 1


async def test_sockets_are_cut_as_often_as_told(server: Client, process: SandboxProcess) -> None:
    await process.misbehave(drop_sockets_at="execution_start", drop_sockets_times=1)
    async with server.listen() as listener:
        prompt_id = await server.submit(plain_graph(), client_id=listener.client_id)
        with pytest.raises(websockets.ConnectionClosedError) as broken:
            await listener.until(lambda message: False)
        assert broken.value.rcvd is None
        assert listener.order[-1] == "execution_start"
    entry = await server.ended(prompt_id)
    assert entry.status is not None
    assert entry.status.completed
    async with server.listen() as listener:
        await server.run(listener, plain_graph())


async def test_every_message_comes_twice(server: Client, process: SandboxProcess) -> None:
    await process.misbehave(send_twice=True)
    async with server.listen() as listener:
        _, said = await server.run(listener, plain_graph())
        assert types(said).count("execution_success") == 2
        assert types(said).count("executed") == 2


async def test_deaf_sockets_greet_and_are_silent(server: Client, process: SandboxProcess) -> None:
    await process.misbehave(deaf=True)
    async with server.listen() as listener:
        prompt_id = await server.submit(plain_graph(), client_id=listener.client_id)
        await server.ended(prompt_id)
        await (await listener.socket.ping())  # what was sent before it has arrived
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await listener.socket.recv()


async def test_garbage_comes_on_the_chosen_paths_only(server: Client, process: SandboxProcess) -> None:
    await process.misbehave(garbage_paths=["/history", "POST /prompt"])
    answer = await server.post("/prompt", {"prompt": plain_graph(), "prompt_id": "acted"})
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()
    with pytest.raises(ValueError, match="Expecting value"):
        (await server.http.get("/api/history/acted")).json()
    assert (await server.http.get("/prompt")).json()["exec_info"]
    await process.misbehave()
    assert await server.ended("acted")


async def test_refused_paths_do_not_act(server: Client, process: SandboxProcess) -> None:
    await process.misbehave(refuse_paths=["POST /prompt"])
    assert (await server.post("/prompt", {"prompt": plain_graph(), "prompt_id": "no"})).status_code == 500
    assert (await server.http.get("/prompt")).json() == {"exec_info": {"queue_remaining": 0}}


async def test_hanging_paths_never_answer(server: Client, process: SandboxProcess) -> None:
    await process.misbehave(hang_paths=["/system_stats"])
    with pytest.raises(httpx.ReadTimeout):
        await server.http.get("/system_stats", timeout=0.1)
    assert (await server.http.get("/features")).status_code == 200


async def test_an_answer_can_be_lost_after_the_act(server: Client, process: SandboxProcess) -> None:
    await process.misbehave(lose_answer_paths=["POST /prompt"])
    with pytest.raises(httpx.RemoteProtocolError):
        await server.post("/prompt", {"prompt": plain_graph(), "prompt_id": "acted"})
    assert await server.ended("acted")


async def test_the_history_entry_comes_late(server: Client, process: SandboxProcess) -> None:
    await process.misbehave(history_delay_s=0.3)
    async with server.listen() as listener:
        prompt_id = await server.submit(plain_graph(), client_id=listener.client_id)
        await listener.until(lambda message: message["type"] == "execution_success")
        assert await server.history(prompt_id) == {}
        await listener.until_over(prompt_id)
        assert prompt_id in await server.history(prompt_id)


async def test_a_node_runs_out_of_memory(server: Client, process: SandboxProcess) -> None:
    await process.misbehave(out_of_memory_at="ImageScale")
    async with server.listen() as listener:
        entry, said = await server.run(listener, plain_graph())
        error = said[-2]["data"]
        assert (error["exception_type"], error["node_type"]) == ("torch.OutOfMemoryError", "ImageScale")
        assert "ran out of memory" in error["exception_message"]
        assert error["executed"] == ["1"]
        assert entry.status is not None
        assert ending(entry.status)[0] == "execution_error"


async def test_a_node_fails_on_purpose_after_others_have_shown_something(server: Client) -> None:
    async with server.listen() as listener:
        graph = {
            "1": empty(7),
            "2": node("PreviewImage", images=["1", 0]),
            "3": node("SandboxFail", message="boom", image=["1", 0]),
        }
        entry, said = await server.run(listener, graph)
        error = said[-2]["data"]
        assert (error["exception_type"], error["exception_message"]) == ("ValueError", "boom\n")
        assert error["current_inputs"]["message"] == ["boom"]
        assert list(entry.outputs) == ["2"]


async def test_a_sleeping_node_tells_its_progress(server: Client) -> None:
    async with server.listen() as listener:
        graph = {"1": node("SandboxSleep", seconds=0.03, steps=3)}
        entry, said = await server.run(listener, graph)
        steps = [message["data"] for message in said if message["type"] == "progress"]
        assert [(step["value"], step["max"], step["node"]) for step in steps] == [
            (1, 3, "1"),
            (2, 3, "1"),
            (3, 3, "1"),
        ]
        assert listener.frames == [ProgressText("1", "sleeping 0.03 s")]
        assert entry.outputs == {"1": {"text": ["slept 0.03"]}}


async def test_a_killed_sandbox_leaves_no_close_frame() -> None:
    async with sandbox() as process, client(process.url) as server, server.listen() as listener:
        assert await process.kill() == -signal.SIGKILL
        with pytest.raises(websockets.ConnectionClosedError) as broken:
            await listener.until(lambda message: False)
        assert broken.value.rcvd is None


async def test_an_ended_parent_takes_the_sandbox_with_it() -> None:
    import sys

    from tests.sandbox.process import ROOT

    script = (
        "import asyncio, sys\n"
        "from tests.sandbox.process import sandbox\n"
        "async def main():\n"
        "    async with sandbox() as process:\n"
        "        print(process.url, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    url = (await parent.stdout.readline()).decode().strip()
    async with httpx.AsyncClient(base_url=url, verify=False, trust_env=False) as http:
        assert (await http.get("/prompt")).status_code == 200
        parent.kill()
        await parent.wait()
        async with asyncio.timeout(10):
            while True:
                try:
                    await http.get("/prompt")
                except httpx.HTTPError:
                    break
                await asyncio.sleep(0.01)


async def test_sigint_ends_it_in_order_and_empties_temp() -> None:
    async with sandbox() as process:
        async with client(process.url) as server, server.listen() as listener:
            await server.run(listener, {"1": empty(3), "2": node("PreviewImage", images=["1", 0])})
        assert await process.kill(signal.SIGINT) == 0
        assert list((process.directory / "base" / "temp").iterdir()) == []
