"""Which LoRAs a run gets: those of its owner's shelf and those that are shared, by the names in its graph."""

from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from commands.generating import Rerun, RunGraph
from commands.loras import ChangeLora, DeleteLora, UploadLora
from commands.models import ChangeModel, RegisterModel
from commands.runs import SubmitRun
from commands.workflows import CreateWorkflow
from domain.ids import AccountId, Digest, LoraId, model_id
from domain.lora import LoraSummary, LoraUploaded, Quota, file_name, graph_path
from domain.refusals import Invalid
from domain.run import RunSubmitted
from domain.workflow import Content
from tests.commands.ground import Ground
from tests.commands.test_gate import has

ANN, BOB = AccountId(UUID(int=0xA)), AccountId(UUID(int=0xB))
ROOM = Quota(100, 2**40)


def graph(*names: Any, checkpoint: str = "sandbox.safetensors", **more: Any) -> dict[str, Any]:
    nodes: dict[str, Any] = {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}}
    }
    before = "4"
    for number, name in enumerate(names, 10):
        inputs = {"model": [before, 0], "clip": [before, 1], "lora_name": name}
        nodes[str(number)] = {"class_type": "LoraLoader", "inputs": inputs}
        before = str(number)
    nodes["9"] = {"class_type": "SaveImage", "inputs": {"images": [before, 0]}}
    return nodes | more


async def put(ground: Ground, name: str, *, owner: AccountId = ANN, base_model: str = "") -> LoraUploaded:
    digest = Digest(uuid4().hex * 2)
    uploaded = LoraUploaded(
        owner=owner,
        lora=LoraId(uuid4()),
        name=name,
        file=file_name(f"{name}.safetensors", digest),
        content=Content(digest, 100),
        summary=LoraSummary(base_model=base_model),
    )
    await ground.wish(UploadLora(uploaded=uploaded, quota=ROOM), actor=str(owner))
    return uploaded


async def submitted(ground: Ground) -> tuple[RunSubmitted, dict[str, Any]]:
    """The newest run, and the graph that it executes."""
    event = (await ground.happened())[-1]
    assert isinstance(event, RunSubmitted)
    body = await ground.contents.get(event.graph.digest)
    assert body is not None
    return event, msgspec.json.decode(body)


async def test_a_name_of_the_shelf_becomes_the_file_with_its_digest(ground: Ground) -> None:
    light, fog = await put(ground, "Light"), await put(ground, "fog")
    await ground.wish(RunGraph(by=ANN, graph=graph("light.safetensors", "fog", "installed.safetensors")))
    event, executed = await submitted(ground)
    assert executed["10"]["inputs"]["lora_name"] == graph_path(ANN, light.file)
    assert executed["11"]["inputs"]["lora_name"] == graph_path(ANN, fog.file)
    assert executed["12"]["inputs"]["lora_name"] == "installed.safetensors"  # the backend's own business
    named = {f"loras/{executed[node]['inputs']['lora_name']}" for node in ("10", "11", "12")}
    assert {model for model in event.requirements.models if model.startswith("loras/")} == named


async def test_a_workflow_is_run_with_the_loras_of_who_runs_it(ground: Ground) -> None:
    hers, his = await put(ground, "Light"), await put(ground, "Light", owner=BOB)
    saved = await ground.wish(CreateWorkflow(owner=ANN, name="Lit", graph=graph("Light"), public=True))
    for by, lora in ((ANN, hers), (BOB, his)):
        await ground.wish(SubmitRun(by=by, workflow=saved.id))
        event, executed = await submitted(ground)
        assert executed["10"]["inputs"]["lora_name"] == graph_path(by, lora.file)
        assert f"loras/{graph_path(by, lora.file)}" in event.requirements.models


async def test_what_is_shared_is_named_by_its_path(ground: Ground) -> None:
    light = await put(ground, "Light")
    path = graph_path(ANN, light.file)
    with pytest.raises(Invalid) as refused:
        await ground.wish(RunGraph(by=BOB, graph=graph(path)))
    assert [error.field for error in refused.value.errors] == ["graph.10.inputs.lora_name"]
    await ground.wish(ChangeLora(by=ANN, lora=light.lora, public=True))
    await ground.wish(RunGraph(by=BOB, graph=graph(path)))
    event, executed = await submitted(ground)
    assert executed["10"]["inputs"]["lora_name"] == path
    await ground.wish(ChangeLora(by=ANN, lora=light.lora, public=False))
    run = [row.stream for row in await ground.log.rows(0, 1000) if row.topic == "run.submitted.v1"][-1]  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        await ground.wish(Rerun(by=BOB, run=run))  # type: ignore[arg-type]
    assert event.owner == BOB


async def test_a_deleted_lora_is_in_no_new_run(ground: Ground) -> None:
    light = await put(ground, "Light")
    await ground.wish(DeleteLora(by=ANN, lora=light.lora))
    with pytest.raises(Invalid):
        await ground.wish(RunGraph(by=ANN, graph=graph(graph_path(ANN, light.file))))


@pytest.mark.parametrize(
    "sneaking",
    [
        "user-00000000-0000-0000-0000-00000000000b/x.safetensors",
        "./user-00000000-0000-0000-0000-00000000000B/x.safetensors",
        "..\\user-00000000-0000-0000-0000-00000000000b\\x.safetensors",
        {"deep": ["user-00000000-0000-0000-0000-00000000000b/x.safetensors"]},
    ],
)
@pytest.mark.parametrize("name", ["lora_name", "ckpt_name", "anything"])
async def test_nobody_else_s_folder_is_reached_by_any_input(ground: Ground, name: str, sneaking: Any) -> None:
    node = {"class_type": "Strange", "inputs": {name: sneaking}}
    with pytest.raises(Invalid) as refused:
        await ground.wish(RunGraph(by=ANN, graph=graph(**{"20": node})))
    assert [error.field for error in refused.value.errors] == [f"graph.20.inputs.{name}"]
    saved = await ground.wish(CreateWorkflow(owner=ANN, name="Sneaking", graph=graph(**{"20": node})))
    with pytest.raises(Invalid):
        await ground.wish(SubmitRun(by=ANN, workflow=saved.id))


async def test_loaders_of_others_are_understood(ground: Ground) -> None:
    light = await put(ground, "Light")
    path = graph_path(ANN, light.file)
    node = {
        "class_type": "Power Lora Loader",
        "inputs": {"lora_1": {"on": True, "lora": "Light", "strength": 1}, "lora_02": "light", "lora_wt": 1},
    }
    await ground.wish(RunGraph(by=ANN, graph=graph(**{"20": node})))
    _, executed = await submitted(ground)
    assert executed["20"]["inputs"]["lora_1"] == {"on": True, "lora": path, "strength": 1}
    assert executed["20"]["inputs"]["lora_02"] == path


async def test_a_lora_for_another_model_is_named_before_the_run(ground: Ground) -> None:
    await put(ground, "Light", base_model="sdxl")
    await put(ground, "Fog", base_model="sd15")
    with pytest.raises(Invalid) as refused:
        await ground.wish(
            RunGraph(by=ANN, graph=graph("Light", "Fog", checkpoint="v1-5-pruned-emaonly.safetensors"))
        )
    (error,) = refused.value.errors
    assert error.field == "graph.10.inputs.lora_name"
    assert "SDXL" in error.reason
    assert "Stable Diffusion 1.5" in error.reason
    await ground.wish(RunGraph(by=ANN, graph=graph("Light", checkpoint="myModel.safetensors")))


async def test_a_run_has_so_many_loras(ground: Ground) -> None:
    with pytest.raises(Invalid):
        await ground.wish(RunGraph(by=ANN, graph=graph(*(f"l{n}" for n in range(65)))))


ANYTHING = "studio.safetensors"


async def refusals(ground: Ground, *names: str) -> list[str]:
    try:
        await ground.wish(RunGraph(by=ANN, graph=graph(*names, checkpoint=ANYTHING)))
    except Invalid as refused:
        return [error.reason for error in refused.errors]
    return []


async def test_what_an_administrator_says_of_a_checkpoint_counts_before_its_name(ground: Ground) -> None:
    await put(ground, "Light", base_model="sdxl")
    assert not await refusals(ground, "Light")
    id = model_id("checkpoints", ANYTHING)
    about = RegisterModel(type="checkpoints", name=ANYTHING, base_model="SD 1.5", reason="Ours.")
    await ground.wish(about)
    (reason,) = await refusals(ground, "Light")
    assert "made for SDXL, but 'studio.safetensors' is Stable Diffusion 1.5" in reason
    for words in ("sdxl", "Stable diffusion XL", "something new"):
        await ground.wish(ChangeModel(model=id, base_model=words, reason="It was a mistake."))
        assert not await refusals(ground, "Light"), words


async def test_what_files_on_the_backends_tell_of_themselves_is_used(ground: Ground) -> None:
    classes = {"CheckpointLoaderSimple": "nodes", "LoraLoader": "nodes"}
    models = {"checkpoints": (ANYTHING,), "loras": ("there.safetensors",)}
    told = {f"checkpoints/{ANYTHING}": "flux", "loras/there.safetensors": "sdxl"}
    await put(ground, "Light", base_model="sdxl")
    await put(ground, "Beam", base_model="flux")
    loras = {"models": models, "base_models": told, "takes_loras": True}
    await has(ground, "gpu-1", told=loras, **classes)
    assert not await refusals(ground, "Beam")
    assert ["is FLUX" in reason for reason in await refusals(ground, "Light", "there.safetensors")] == [
        True
    ] * 2
    await ground.wish(
        RegisterModel(type="checkpoints", name=ANYTHING, base_model="sd15", active=False, reason="Kept.")
    )
    ground.dispatcher.needs.backends.look_again()
    (reason,) = await refusals(ground, "Light")
    assert "no backend" in reason.lower()  # nobody learns what the model is that is kept from them
