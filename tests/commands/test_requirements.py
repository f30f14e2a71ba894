"""What a version needs, and who could run it: the same that submitting a run is told."""

from typing import Any
from uuid import uuid4

import pytest

from commands.backends import LoseBackend
from commands.gate import refuses
from commands.requirements import Needed, needed
from commands.runs import SubmitRun
from commands.workflows import ChangeWorkflow, CreateWorkflow
from domain.ids import AccountId, WorkflowId
from domain.refusals import Invalid, NotFound
from tests.commands.ground import Ground
from tests.commands.test_gate import ANN, MODEL, graph, has
from workflows.graph import Node
from workflows.needed import NeededInput, NeededModel, NeededSize, needed_inputs, needed_models, needed_sizes

BOB = AccountId(uuid4())


async def kept(ground: Ground, wanted: dict[str, Any]) -> WorkflowId:
    saved = await ground.wish(CreateWorkflow(owner=ANN, name="a", graph=wanted))
    return WorkflowId(saved.id)


async def asked(ground: Ground, id: WorkflowId, by: AccountId = ANN) -> Needed:
    return await needed(id, 1, by, None, ground.dispatcher.needs)


async def test_with_nobody_at_hand_nobody_knows(ground: Ground) -> None:
    found = await asked(ground, await kept(ground, graph()))
    assert (found.able, found.refusal, found.fits, found.pool) == (None, "", (), "shared")


async def test_each_backend_is_told_with_what_it_lacks(ground: Ground) -> None:
    id = await kept(ground, graph(vae_name="fine.safetensors"))
    await has(ground, "gpu-1")
    found = await asked(ground, id)
    assert found.able is False
    assert {error.field for error in found.errors} == {"graph.4", "graph.4.inputs.vae_name"}
    (fit,) = found.fits
    assert fit.lacks is not None
    assert (fit.lacks.node_classes, fit.lacks.models) == (
        ("CheckpointLoaderSimple",),
        ("vae/fine.safetensors",),
    )
    await has(ground, "gpu-2", CheckpointLoaderSimple="nodes")
    other = await kept(ground, graph())
    found = await asked(ground, other)
    assert {fit.backend.state.name: fit.reason for fit in found.fits} == {
        "gpu-1": "It lacks the node CheckpointLoaderSimple.",
        "gpu-2": "",
    }
    assert found.able is True
    await ground.wish(LoseBackend(name="gpu-2", reason="It is switched off."))
    ground.dispatcher.needs.backends.look_again()
    assert (await asked(ground, other)).able is False


@pytest.mark.parametrize(
    "wanted",
    [
        graph(),
        graph("NobodyHasIt"),
        graph(ckpt_name="none.safetensors"),
        graph(image="../../etc/passwd"),
        graph("LoadImage", image=f"input:{'a' * 64}"),
        {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": f"user-{uuid4()}/x.safetensors"}}},
    ],
)
async def test_it_tells_what_submitting_would_be_told(ground: Ground, wanted: dict[str, Any]) -> None:
    await has(ground, "gpu-1", CheckpointLoaderSimple="nodes")
    id = await kept(ground, wanted)
    found = await asked(ground, id)
    told: tuple[Any, ...] = (True, "", ())
    try:
        await ground.wish(SubmitRun(by=ANN, workflow=id))
    except Invalid as refusal:
        told = (False, str(refusal), refusal.errors)
    assert (found.able, found.refusal, found.errors) == told
    view = await ground.dispatcher.needs.backends.now()
    claimed_by = [refuses(each, found.requirements, view.rules) for each in view.backends]
    assert [fit.reason for fit in found.fits] == claimed_by


async def test_it_is_for_whoever_may_run_it(ground: Ground) -> None:
    id = await kept(ground, graph())
    for by, number in ((BOB, 1), (ANN, 2), (ANN, 0)):
        with pytest.raises(NotFound):
            await needed(id, number, by, None, ground.dispatcher.needs)
    await ground.wish(ChangeWorkflow(by=ANN, workflow=id, public=True))
    assert (await asked(ground, id, BOB)).able is None
    with pytest.raises(Invalid):
        await needed(id, 1, BOB, "nowhere", ground.dispatcher.needs)


def test_models_pictures_and_sizes_are_told_with_their_nodes() -> None:
    own = f"user-{ANN}/ink.safetensors"
    nodes = {
        "1": Node("CheckpointLoaderSimple", {"ckpt_name": MODEL}),
        "2": Node("LoraLoader", {"lora_name": own, "model": ["1", 0]}),
        "3": Node("EmptyLatentImage", {"width": 512, "height": 768, "batch_size": 2}),
        "4": Node("ImageScale", {"width": ["3", 0], "height": 64}),
        "5": Node("LoadImage", {"image": "a.png"}),
        "6": Node("CheckpointLoaderSimple", {"ckpt_name": MODEL}),
        "7": Node("Flag", {"width": True, "ckpt_name": ["1", 0]}),
    }
    assert needed_models(nodes) == (
        NeededModel("checkpoints", MODEL, False, ("1", "6")),
        NeededModel("loras", own, True, ("2",)),
    )
    assert needed_inputs(nodes) == (NeededInput("5", "LoadImage", "a.png"),)
    assert needed_sizes(nodes) == (
        NeededSize("3", "EmptyLatentImage", 512, 768, 2),
        NeededSize("4", "ImageScale", None, 64, None),
    )
