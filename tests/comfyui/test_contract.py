"""How ComfyUI behaves when prompts are run: the facts that its clients and the sandbox are built on."""

import io
from typing import Any
from uuid import uuid4

from msgspec import json
from PIL import Image

from tests.comfyui.client import Client, colour, empty, node, plain_graph, types
from workflows.protocol.history import ending, output_files
from workflows.protocol.messages import Unknown, decode_message
from workflows.protocol.queue import decode_status


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
