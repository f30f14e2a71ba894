"""What ComfyUI refuses, with which status and in which shape."""

from typing import Any
from uuid import uuid4

import pytest

from tests.comfyui.client import Client, Graph, colour, empty, node, plain_graph
from workflows.protocol.prompt import decode_accepted, decode_refused

SAVE = node("SaveImage", images=["2", 0], filename_prefix="x")


def changed(number: str, **inputs: Any) -> Graph:
    graph = plain_graph()
    graph[number] = graph[number] | {"inputs": graph[number]["inputs"] | inputs}
    return graph


def without(number: str, name: str) -> Graph:
    graph = plain_graph()
    del graph[number]["inputs"][name]
    return graph


NODE_PROBLEMS: dict[str, tuple[Graph, str, str, str]] = {
    "missing input": (without("1", "width"), "1", "required_input_missing", "width"),
    "missing link": (without("3", "images"), "3", "required_input_missing", "images"),
    "too small": (changed("1", width=-4), "1", "value_smaller_than_min", "width"),
    "too big": (changed("1", width=999999), "1", "value_bigger_than_max", "width"),
    "no number": (
        changed("1", width="abc"),
        "1",
        "invalid_input_type",
        "width, abc, invalid literal for int() with base 10: 'abc'",
    ),
    "null": (
        changed("1", width=None),
        "1",
        "invalid_input_type",
        "width, None, int() argument must be a string, a bytes-like object or a real number, not 'NoneType'",
    ),
    "not in list": (
        changed("2", upscale_method="magic"),
        "2",
        "value_not_in_list",
        "upscale_method: 'magic' not in ['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos']",
    ),
    "unknown checkpoint": (
        {
            "1": node("CheckpointLoaderSimple", ckpt_name="nope.safetensors"),
            "2": node("EmptyLatentImage", width=64, height=64, batch_size=1),
            "3": node("VAEDecode", samples=["2", 0], vae=["1", 2]),
            "4": node("SaveImage", images=["3", 0], filename_prefix="x"),
        },
        "1",
        "value_not_in_list",
        "ckpt_name: 'nope.safetensors' not in ",
    ),
    "short link": (changed("2", image=["1"]), "2", "bad_linked_input", "image"),
    "link to nowhere": (changed("2", image=["99", 0]), "2", "exception_during_inner_validation", "'99'"),
    "number as id": (changed("2", image=[1, 0]), "2", "exception_during_inner_validation", "1"),
    "slot out of range": (
        changed("2", image=["1", 5]),
        "2",
        "exception_during_inner_validation",
        "tuple index out of range",
    ),
    "no inputs": ({"1": {"class_type": "SaveImage"}}, "1", "exception_during_validation", "'inputs'"),
    "wrong type": (
        {
            "1": node("EmptyLatentImage", width=64, height=64, batch_size=1),
            "2": node("SaveImage", images=["1", 0], filename_prefix="x"),
        },
        "2",
        "return_type_mismatch",
        "images, received_type(LATENT) mismatch input_type(IMAGE)",
    ),
    "missing file": (
        {"1": node("LoadImage", image="nope.png"), "2": node("PreviewImage", images=["1", 0])},
        "1",
        "custom_validation_failed",
        "image - Invalid image file: nope.png",
    ),
}


@pytest.mark.parametrize("case", NODE_PROBLEMS)
async def test_a_nodes_problem_is_told_with_the_node(server: Client, case: str) -> None:
    graph, number, kind, details = NODE_PROBLEMS[case]
    answer = await server.post("/prompt", {"prompt": graph})
    assert answer.status_code == 400
    refused = decode_refused(answer.content)
    assert refused.error.type == "prompt_outputs_failed_validation"
    assert list(refused.node_errors) == [number]
    problems = refused.node_errors[number]
    assert problems.class_type == graph[number]["class_type"]
    assert problems.dependent_outputs == (max(graph),)
    (problem,) = problems.errors
    assert problem.type == kind
    assert problem.details.startswith(details)
    if number == max(graph):
        assert problem.message in refused.error.details
    else:
        assert refused.error.details == ""


GRAPH_PROBLEMS: dict[str, tuple[Any, str, str]] = {
    "a list": ([], "no_prompt", "No prompt provided"),
    "no prompt": ({"foo": 1}, "no_prompt", "No prompt provided"),
    "an empty graph": ({"prompt": {}}, "prompt_no_outputs", ""),
    "an empty list as graph": ({"prompt": []}, "prompt_no_outputs", ""),
    "no output node": ({"prompt": {"1": empty(0)}}, "prompt_no_outputs", ""),
    "a node that is none": ({"prompt": {"1": "x"}}, "invalid_prompt", "Node ID '#1'"),
    "no class": ({"prompt": {"1": {"inputs": {}}}}, "invalid_prompt", "Node ID '#1'"),
    "an unknown class": ({"prompt": {"7": node("NoSuchNode")}}, "invalid_prompt", "Node ID '#7'"),
    "no such target": (
        {"prompt": plain_graph(), "partial_execution_targets": ["77"]},
        "prompt_no_outputs",
        "",
    ),
    "a cycle": (
        {
            "prompt": {
                "1": node("ImageInvert", image=["2", 0]),
                "2": node("ImageInvert", image=["1", 0]),
                "3": SAVE,
            }
        },
        "prompt_outputs_failed_validation",
        "",
    ),
}


@pytest.mark.parametrize("case", GRAPH_PROBLEMS)
async def test_a_graphs_problem_is_told_without_a_node(server: Client, case: str) -> None:
    body, kind, details = GRAPH_PROBLEMS[case]
    answer = await server.post("/prompt", body)
    assert answer.status_code == 400
    refused = decode_refused(answer.content)
    assert (refused.error.type, refused.error.details) == (kind, details)
    assert refused.node_errors == {}


STUMBLES: dict[str, bytes] = {
    "malformed JSON": b'{"prompt": ',
    "an empty body": b"",
    "a null prompt": b'{"prompt": null}',
    "a number that is none": b'{"prompt": {}, "number": "abc"}',
}


@pytest.mark.parametrize("case", STUMBLES)
async def test_some_bad_requests_are_a_plain_500(server: Client, case: str) -> None:
    answer = await server.http.post("/prompt", content=STUMBLES[case])
    assert answer.status_code == 500
    assert answer.text == "500 Internal Server Error\n\nServer got itself in trouble"


async def test_null_extra_data_with_a_client_is_a_plain_500(server: Client) -> None:
    body = {"prompt": plain_graph(), "extra_data": None, "client_id": "x"}
    assert (await server.post("/prompt", body)).status_code == 500


@pytest.mark.parametrize("width", ["64", 64.9, {"__value__": 64}])
async def test_literals_are_cast(server: Client, width: Any) -> None:
    async with server.listen() as listener:
        entry, _ = await server.run(listener, changed("1", width=width))
        assert entry.status is not None
        assert entry.status.completed
        assert entry.prompt.graph["1"]["inputs"]["width"] == 64


async def test_titles_and_unknown_inputs_are_accepted(server: Client) -> None:
    graph = changed("1", zzz=1)
    graph["1"]["_meta"] = {"title": "hi"}
    await server.submit(graph)


async def test_prompt_ids_are_taken_as_text(server: Client) -> None:
    async with server.listen() as listener:
        for given, taken in ((f"own-{uuid4().hex}", None), (42, "42"), (None, "None")):
            entry, _ = await server.run(listener, plain_graph(), prompt_id=given)
            assert entry.prompt.prompt_id == (taken or given)


async def test_numbers_count_up_unless_given(server: Client) -> None:
    first = decode_accepted((await server.post("/prompt", {"prompt": plain_graph()})).content)
    given = decode_accepted((await server.post("/prompt", {"prompt": plain_graph(), "number": 5})).content)
    front = decode_accepted((await server.post("/prompt", {"prompt": plain_graph(), "front": True})).content)
    assert isinstance(first.number, int)
    assert isinstance(given.number, float)
    assert given.number == 5
    assert front.number <= -first.number - 1


async def test_one_good_output_is_enough(server: Client) -> None:
    async with server.listen() as listener:
        graph = plain_graph() | {"8": empty(0, width=-1), "9": node("PreviewImage", images=["8", 0])}
        answer = await server.post("/prompt", {"prompt": graph, "client_id": listener.client_id})
        assert answer.status_code == 200
        accepted = decode_accepted(answer.content)
        assert accepted.node_errors["8"].dependent_outputs == ("9",)
        await listener.until_over(accepted.prompt_id)
        entry = (await server.history(accepted.prompt_id))[accepted.prompt_id]
        assert list(entry.outputs) == ["3"]
        assert entry.prompt.outputs == ("3",)


async def test_targets_choose_the_outputs_that_run(server: Client) -> None:
    async with server.listen() as listener:
        graph = plain_graph() | {"9": node("PreviewImage", images=["1", 0])}
        entry, _ = await server.run(listener, graph, partial_execution_targets=["9"])
        assert list(entry.outputs) == ["9"]


async def test_a_prompt_with_number_and_id_of_a_waiting_one_is_queued_despite_a_500(
    server: Client, slow: Any
) -> None:
    async with server.listen() as listener:
        blocker = await server.submit(slow(), client_id=listener.client_id)
        await server.running(blocker)
        twin = f"twin-{uuid4().hex}"
        bodies = [{"prompt": plain_graph(color=colour()), "prompt_id": twin, "number": 2e6} for _ in range(2)]
        assert [(await server.post("/prompt", body)).status_code for body in bodies] == [200, 500]
        pending = [entry[1] for entry in (await server.queue())["queue_pending"]]
        assert pending.count(twin) == 2
        await server.post("/queue", {"delete": [twin]})
        await server.post("/queue", {"delete": [twin]})
        assert twin not in [entry[1] for entry in (await server.queue())["queue_pending"]]
        await server.post("/interrupt", {"prompt_id": blocker})
        await listener.until_over(blocker)


async def test_a_prefix_that_leads_out_is_found_only_while_it_runs(server: Client) -> None:
    async with server.listen() as listener:
        _, said = await server.run(listener, changed("3", filename_prefix=f"../../evil-{uuid4().hex}"))
        assert said[-2]["type"] == "execution_error"
        assert said[-2]["data"]["node_type"] == "SaveImage"
