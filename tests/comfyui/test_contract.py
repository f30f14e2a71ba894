"""How ComfyUI behaves when prompts are run: the facts that its clients and the sandbox are built on."""

import io
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from PIL import Image

from tests.comfyui.client import Client, Graph, Listener, colour, empty, node, plain_graph, types
from workflows.protocol.history import ending, output_files
from workflows.protocol.messages import Unknown, decode_message
from workflows.protocol.queue import decode_queue, decode_status, in_order


async def test_a_server_is_ready_when_prompt_answers(server: Client) -> None:
    for path in ("/prompt", "/api/prompt"):
        answer = await server.http.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert decode_status(answer.content).exec_info.queue_remaining >= 0


async def test_a_run_is_told_in_order_to_the_client_that_asked(server: Client) -> None:
    async with server.listen() as listener:
        _, said = await server.run(listener, plain_graph())
        per_node = ["progress_state", "executing", "progress_state"]
        assert types(said) == [
            "execution_start",
            "execution_cached",
            *per_node * 2,
            "progress_state",
            "executing",
            "executed",
            "progress_state",
            "execution_success",
            "executing",
        ]
        assert [message["data"]["node"] for message in said if message["type"] == "executing"] == [
            "1",
            "2",
            "3",
            None,
        ]
        assert said[1]["data"]["nodes"] == []
        assert said[-1]["data"] == {"node": None, "prompt_id": said[0]["data"]["prompt_id"]}
        assert listener.order[-2] == "status"
        assert listener.order.count("status") >= 4


async def test_every_message_of_a_run_is_known_to_the_protocol(server: Client) -> None:
    async with server.listen() as listener:
        await server.run(listener, plain_graph())
        from msgspec import json

        for message in listener.heard:
            assert not isinstance(decode_message(json.encode(message)), Unknown), message


async def test_progress_state_repeats_all_nodes_so_far(server: Client) -> None:
    async with server.listen() as listener:
        _, said = await server.run(listener, plain_graph())
        states = [message["data"]["nodes"] for message in said if message["type"] == "progress_state"]
        assert [len(nodes) for nodes in states] == [1, 1, 2, 2, 3, 3]
        assert states[-1]["3"] == {
            "value": 1.0,
            "max": 1.0,
            "state": "finished",
            "node_id": "3",
            "prompt_id": said[0]["data"]["prompt_id"],
            "display_node_id": "3",
            "parent_node_id": None,
            "real_node_id": "3",
        }
        assert states[0]["1"]["state"] == "running"


async def test_the_history_entry_exists_once_executing_null_was_said(server: Client) -> None:
    async with server.listen() as listener:
        graph = plain_graph()
        entry, said = await server.run(listener, graph, extra_data={"extra_pnginfo": {"user": "u1"}})
        executed = next(message for message in said if message["type"] == "executed")
        assert executed["data"]["node"] == executed["data"]["display_node"] == "3"
        assert entry.outputs == {"3": executed["data"]["output"]}
        assert entry.status is not None
        assert (entry.status.status_str, entry.status.completed) == ("success", True)
        assert [name for name, _ in entry.status.messages] == [
            "execution_start",
            "execution_cached",
            "execution_success",
        ]
        assert ending(entry.status)[1]["timestamp"] >= entry.status.messages[0][1]["timestamp"]
        assert entry.prompt.graph == graph
        assert entry.prompt.outputs == ("3",)
        assert entry.prompt.extra_data["client_id"] == listener.client_id
        assert entry.meta["3"].display_node == "3"


async def test_history_of_an_unknown_prompt_is_an_empty_answer(server: Client) -> None:
    assert await server.history(str(uuid4())) == {}


async def test_history_can_be_limited_and_deleted(server: Client) -> None:
    async with server.listen() as listener:
        ids = [(await server.run(listener, plain_graph()))[0].prompt.prompt_id for _ in range(2)]
        newest = (await server.http.get("/history", params={"max_items": 1})).json()
        assert len(newest) == 1
        assert (await server.http.get("/history", params={"max_items": "abc"})).status_code == 500
        answer = await server.post("/history", {"delete": [ids[0], "unknown"]})
        assert (answer.status_code, answer.content) == (200, b"")
        assert await server.history(ids[0]) == {}
        assert ids[1] in await server.history(ids[1])


async def test_an_identical_graph_is_served_from_the_cache_with_the_old_file(server: Client) -> None:
    async with server.listen() as listener:
        graph = plain_graph()
        first, _ = await server.run(listener, graph)
        second, said = await server.run(listener, graph)
        assert types(said) == [
            "execution_start",
            "execution_cached",
            "executed",
            "progress_state",
            "execution_success",
            "executing",
        ]
        assert sorted(said[1]["data"]["nodes"]) == ["1", "2", "3"]
        assert second.outputs == first.outputs


async def test_ids_titles_and_png_texts_do_not_matter_to_the_cache(server: Client) -> None:
    async with server.listen() as listener:
        graph = plain_graph()
        first, _ = await server.run(listener, graph)
        renamed = {
            "a": graph["1"] | {"_meta": {"title": "another"}},
            "b": graph["2"] | {"inputs": graph["2"]["inputs"] | {"image": ["a", 0]}},
            "c": graph["3"] | {"inputs": graph["3"]["inputs"] | {"images": ["b", 0]}},
        }
        second, _ = await server.run(listener, renamed, extra_data={"extra_pnginfo": {"x": 1}})
        assert second.outputs == {"c": first.outputs["3"]}


async def test_only_the_last_prompts_results_are_kept(server: Client) -> None:
    async with server.listen() as listener:
        graph = plain_graph(f"kept-{uuid4().hex}")
        first, _ = await server.run(listener, graph)
        await server.run(listener, plain_graph())
        third, said = await server.run(listener, graph)
        assert said[1]["data"]["nodes"] == []
        assert third.outputs != first.outputs


async def test_what_did_not_change_is_not_executed_again(server: Client) -> None:
    async with server.listen() as listener:
        color = colour()
        await server.run(listener, plain_graph("one", color))
        _, said = await server.run(listener, plain_graph("two", color))
        assert sorted(said[1]["data"]["nodes"]) == ["1", "2"]
        assert [message["data"]["node"] for message in said if message["type"] == "executing"] == ["3", None]


async def test_freeing_memory_empties_the_cache(server: Client) -> None:
    async with server.listen() as listener:
        graph = plain_graph()
        await server.run(listener, graph)
        assert (await server.post("/free", {"unload_models": True})).status_code == 200
        _, said = await server.run(listener, graph)
        assert len(said[1]["data"]["nodes"]) == 3
        answer = await server.post("/free", {"free_memory": True})
        assert (answer.status_code, answer.content) == (200, b"")
        assert (await server.post("/free")).status_code == 500
        await _freed(server)
        _, said = await server.run(listener, graph)
        assert said[1]["data"]["nodes"] == []


async def _freed(server: Client) -> None:
    """The worker frees between prompts; a run of nothing new comes after it or before it, then again."""
    async with server.listen() as listener:
        await server.run(listener, plain_graph())


async def test_saved_names_count_up_and_prefixes_may_hold_folders(server: Client) -> None:
    async with server.listen() as listener:
        folder = f"folder-{uuid4().hex}"
        for number in (1, 2):
            entry, _ = await server.run(listener, plain_graph(f"{folder}/name"))
            ((_, file),) = output_files(entry.outputs["3"])
            assert (file.filename, file.subfolder, file.type) == (f"name_{number:05}_.png", folder, "output")


async def test_a_batch_is_saved_as_several_files(server: Client) -> None:
    async with server.listen() as listener:
        graph = {"1": empty(colour(), batch=3), "2": node("PreviewImage", images=["1", 0])}
        entry, _ = await server.run(listener, graph)
        files = [file for _, file in output_files(entry.outputs["2"])]
        assert len(files) == 3
        assert {file.type for file in files} == {"temp"}
        assert len({file.filename for file in files}) == 3


async def test_a_png_carries_its_graph_and_the_extra_texts(server: Client) -> None:
    from msgspec import json

    async with server.listen() as listener:
        graph = plain_graph()
        entry, _ = await server.run(listener, graph, extra_data={"extra_pnginfo": {"workflow": {"a": "ä"}}})
        image = await fetched(server, entry.outputs["3"])
        assert image.size == (32, 32)
        assert image.getpixel((3, 3)) == tuple(graph["1"]["inputs"]["color"].to_bytes(3, "big"))
        texts = image.info
        assert json.decode(texts["prompt"]) == graph
        assert json.decode(texts["workflow"]) == {"a": "ä"}


async def fetched(server: Client, output: dict[str, Any]) -> Image.Image:
    _, file = next(iter(output_files(output)))
    params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
    answer = await server.http.get("/view", params=params)
    assert answer.status_code == 200
    return Image.open(io.BytesIO(answer.content))


async def test_pictures_are_really_computed(server: Client) -> None:
    async with server.listen() as listener:
        graph = {
            "1": empty(0x204060, 40, 20),
            "2": node("ImageInvert", image=["1", 0]),
            "3": node("ImageBlend", image1=["1", 0], image2=["2", 0], blend_factor=1.0, blend_mode="normal"),
            "4": node("ImageCrop", image=["3", 0], width=10, height=12, x=1, y=2),
            "5": node("ImageScaleBy", image=["4", 0], upscale_method="nearest-exact", scale_by=2.0),
            "6": node("ImageBatch", image1=["5", 0], image2=["1", 0]),
            "7": node("SaveImage", images=["6", 0], filename_prefix=f"computed-{uuid4().hex}"),
        }
        entry, _ = await server.run(listener, graph)
        image = await fetched(server, entry.outputs["7"])
        assert image.size == (20, 24)
        assert image.getpixel((5, 5)) == (0xDF, 0xBF, 0x9F)
        assert len(list(output_files(entry.outputs["7"]))) == 2


async def test_a_failing_node_ends_the_prompt_and_names_itself(server: Client) -> None:
    async with server.listen() as listener:
        name = f"broken-{uuid4().hex}.png"
        assert (await server.upload(name, b"no picture")).status_code == 200
        graph = {
            "1": node("LoadImage", image=name),
            "2": node("SaveImage", images=["1", 0], filename_prefix="never"),
        }
        entry, said = await server.run(listener, graph)
        assert types(said)[-2:] == ["execution_error", "executing"]
        error = said[-2]["data"]
        assert (error["node_id"], error["node_type"], error["executed"]) == ("1", "LoadImage", [])
        assert error["exception_type"] == "PIL.UnidentifiedImageError"
        assert "cannot identify image file" in error["exception_message"]
        assert error["current_inputs"] == {"image": [name]}
        assert isinstance(error["traceback"], list)
        assert entry.outputs == {}
        assert entry.status is not None
        assert (entry.status.status_str, entry.status.completed) == ("error", False)
        assert ending(entry.status)[0] == "execution_error"
        assert ending(entry.status)[1]["node_id"] == "1"


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
    import websockets
    from msgspec import json

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
    import asyncio

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
