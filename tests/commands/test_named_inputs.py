"""Inputs as an editor names them: given like ComfyUI would, and found by the graphs that load them."""

from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from commands.inputs import DeleteInput, StoreInput
from commands.named_inputs import InvalidFiles, MadeFile, StoreNamedInput, named_input, resolve_files
from commands.streams import Context
from domain.file_name import FileName
from domain.ids import AccountId, Actor, Digest, input_id
from tests.commands.ground import Ground

ANN, BOB = AccountId(uuid4()), AccountId(uuid4())
RED, BLUE, GREEN = (Digest(letter * 64) for letter in "abc")
TOP = FileName("red.png", "", "input")
MADE = FileName("cat_00001_.png", "", "output")


async def upload(
    ground: Ground, digest: Digest, *, name: FileName = TOP, by: AccountId = ANN, overwrite: bool = False
) -> str:
    stored = StoreInput(
        by=by, digest=digest, name=name.filename, media_type="image/png", size_bytes=9, width=4, height=4
    )
    kept = await ground.wish(StoreNamedInput(name=name, stored=stored, overwrite=overwrite))
    return str(kept.name.filename)


async def test_names_are_given_as_comfyui_gives_them(ground: Ground) -> None:
    assert await upload(ground, RED) == "red.png"
    assert await upload(ground, RED) == "red.png"
    assert await upload(ground, BLUE) == "red (1).png"
    assert await upload(ground, BLUE) == "red (1).png"
    assert await upload(ground, GREEN) == "red (2).png"
    assert await upload(ground, GREEN, overwrite=True) == "red.png"
    assert await upload(ground, RED) == "red (3).png"
    assert await upload(ground, RED, name=replace(TOP, subfolder="a")) == "red.png"
    assert await upload(ground, BLUE, by=BOB) == "red.png"


async def test_a_name_whose_picture_was_deleted_is_free_again(ground: Ground) -> None:
    await upload(ground, RED)
    await ground.wish(DeleteInput(by=ANN, input=input_id(ANN, RED)))
    needs = ground.dispatcher.needs
    assert await named_input(TOP, ANN, needs) is None
    assert await upload(ground, BLUE) == "red.png"
    found = await named_input(TOP, ANN, needs)
    assert found is not None
    assert found.digest == BLUE


def loading(*names: Any) -> dict[str, Any]:
    return {str(at): {"class_type": "LoadImage", "inputs": {"image": name}} for at, name in enumerate(names)}


async def resolved(ground: Ground, graph: dict[str, Any], by: AccountId = ANN) -> dict[str, Any]:
    async def made(name: FileName) -> MadeFile | None:
        return MadeFile(GREEN, "image/png", 9, 4, 4) if (name, by) == (MADE, ANN) else None

    context = Context(actor=Actor("somebody"), correlation=uuid4())
    return await resolve_files(graph, by, context, ground.dispatcher.needs, made)


async def test_a_graph_loads_its_owners_files_by_their_names(ground: Ground) -> None:
    await upload(ground, RED)
    await upload(ground, BLUE, name=FileName("red.png", "clipspace", "input"))
    graph = loading("red.png", "clipspace/red.png [input]", "cat_00001_.png [output]", RED, ["0", 0])
    assert await resolved(ground, graph) == loading(RED, BLUE, GREEN, RED, ["0", 0])
    assert await resolved(ground, loading(GREEN)) == loading(
        GREEN
    )  # an output that was loaded is an input now


async def test_nodes_that_name_what_is_not_there_are_told_and_nothing_is_stored(ground: Ground) -> None:
    await upload(ground, RED)
    before = len(await ground.happened())
    names = (
        "red.png",
        "nope.png",
        "../red.png",
        "/etc/passwd",
        "red.png [output]",
        "cat_00001_.png [output]",
    )
    with pytest.raises(InvalidFiles) as refusal:
        await resolved(ground, loading(*names), by=BOB)
    assert [(each.node, each.input, each.name) for each in refusal.value.files] == [
        (str(at), "image", name) for at, name in enumerate(names)
    ]
    assert len(await ground.happened()) == before
