"""What is submitted goes through the gate: refused with every node at fault, or let through."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from commands.backends import LoseBackend, RegisterBackend, SeeBackend, TakeStock
from commands.batches import GenerateBatch, GenerateGrid
from commands.gate import SetGate, admit, refuses
from commands.generating import Generate, Rerun, RunGraph
from commands.needs import Command
from commands.ports import KeyReused
from commands.runs import SubmitRun
from commands.workflows import CreateWorkflow
from domain.backend import BackendInventoried, BackendSeen, own_name
from domain.gate import GateRules
from domain.ids import AccountId, RunId, WorkflowId
from domain.refusals import Conflict, Invalid
from domain.run import SHARED, RunSubmitted
from domain.workflow import Content
from tests.commands.ground import Ground
from workflows.inventory import Inventory, written
from workflows.parameters import Parameters

ANN = AccountId(uuid4())
MODEL = "sd15.safetensors"
FOX = Parameters(checkpoint=MODEL, prompt="a fox")


def graph(node_class: str = "CheckpointLoaderSimple", **inputs: Any) -> dict[str, Any]:
    return {
        "4": {"class_type": node_class, "inputs": {"ckpt_name": MODEL} | inputs},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["4", 0]}},
    }


async def has(ground: Ground, name: str, *, told: dict[str, Any] | None = None, **classes: str) -> None:
    """A live backend with these node classes, and one checkpoint."""
    inventory = Inventory(
        node_classes={"SaveImage": "nodes"} | {k: v.replace("_slash_", ".") for k, v in classes.items()},
        models={"checkpoints": (MODEL,)} | (told or {}).pop("models", {}),
        **(told or {}),
    )
    with suppress(Conflict):
        await ground.wish(RegisterBackend(name=name, url="https://gpu.example.org"))
    await seen(ground, name, inventory)


async def seen(ground: Ground, name: str, inventory: Inventory) -> None:
    body = written(inventory)
    content = Content(await ground.contents.put(body), len(body))
    await ground.wish(SeeBackend(sight=BackendSeen(name=name, executor="east")))
    await ground.wish(TakeStock(stock=BackendInventoried(name=name, inventory=content)))
    ground.dispatcher.needs.backends.look_again()


async def takes(ground: Ground, name: str, takes_loras: bool) -> None:
    """A live backend with the nodes of a graph with a LoRA."""
    classes = dict.fromkeys(("CheckpointLoaderSimple", "LoraLoader", "SaveImage"), "nodes")
    inventory = Inventory(node_classes=classes, models={"checkpoints": (MODEL,)}, takes_loras=takes_loras)
    await ground.wish(RegisterBackend(name=name, url="https://gpu.example.org"))
    await seen(ground, name, inventory)


async def refused(ground: Ground, wanted: dict[str, Any]) -> list[str]:
    with pytest.raises(Invalid) as refusal:
        await ground.wish(RunGraph(by=ANN, graph=wanted))
    return [each.field for each in refusal.value.errors]


async def test_with_no_backend_at_hand_it_waits(ground: Ground) -> None:
    await ground.wish(RunGraph(by=ANN, graph=graph("NobodyHasIt")))


async def test_what_no_live_backend_has_is_named_at_its_node(ground: Ground) -> None:
    await has(ground, "gpu-1", CheckpointLoaderSimple="nodes")
    await ground.wish(RunGraph(by=ANN, graph=graph()))
    assert await refused(ground, graph("NobodyHasIt")) == ["graph.4"]
    assert await refused(ground, graph(ckpt_name="none.safetensors")) == ["graph.4.inputs.ckpt_name"]
    await has(ground, "gpu-2", NobodyHasIt="nodes")
    await ground.wish(RunGraph(by=ANN, graph=graph("NobodyHasIt")))


async def test_custom_nodes_are_let_through_where_an_administrator_allows_them(ground: Ground) -> None:
    await has(ground, "gpu-1", Impact="custom_nodes_slash_impact")
    assert await refused(ground, graph("Impact")) == ["graph.4"]
    await ground.wish(SetGate(rules=GateRules(allowed=("Impact",)), reason="Asked for."))
    await ground.wish(RunGraph(by=ANN, graph=graph("Impact")))
    await ground.wish(SetGate(rules=GateRules(), reason="It was a mistake."))
    assert await refused(ground, graph("Impact")) == ["graph.4"]  # also what was let through before


async def test_a_workflow_is_vetted_each_time_it_is_run(ground: Ground) -> None:
    saved = await ground.wish(CreateWorkflow(owner=ANN, name="a", graph=graph(image="../../etc/passwd")))
    with pytest.raises(Invalid) as refusal:
        await ground.wish(SubmitRun(by=ANN, workflow=saved.id))
    assert [each.field for each in refusal.value.errors] == ["graph.4.inputs.image"]
    assert await ground.happened(after=saved.position) == []


async def test_rules_that_make_no_sense_change_nothing(ground: Ground) -> None:
    for rules in (
        GateRules(allowed=("",)),
        GateRules(allowed=("a",), denied=("a",)),
        GateRules(nodes=0),
        GateRules(allowed=tuple(str(number) for number in range(1_001))),
        GateRules(denied=("x" * 200,) * 500),
    ):
        with pytest.raises(Invalid):
            await ground.wish(SetGate(rules=rules, reason="why"))
    with pytest.raises(Invalid):
        await ground.wish(SetGate(rules=GateRules(nodes=5), reason=" "))
    assert await ground.happened() == []


async def test_uploaded_loras_are_waited_for_where_a_backend_that_is_away_takes_them(ground: Ground) -> None:
    needs = ground.dispatcher.needs
    lora = {"class_type": "LoraLoader", "inputs": {"lora_name": f"user-{ANN}/own.safetensors"}}
    content = await ground.contents.put(msgspec.json.encode(graph() | {"5": lora}))

    async def reasons() -> list[str]:
        wanted = await admit(Content(content, 1), ANN, SHARED, needs)
        view = await needs.backends.now()
        return [refuses(each, wanted, view.rules) for each in view.backends]

    await takes(ground, "gpu-1", False)
    with pytest.raises(Invalid, match="No backend that is here"):
        await reasons()
    await takes(ground, "gpu-2", True)
    assert await reasons() == ["It takes no uploaded LoRAs.", ""]
    await ground.wish(LoseBackend(name="gpu-2", reason="It is switched off."))
    needs.backends.look_again()
    assert await reasons() == ["It takes no uploaded LoRAs.", "It is not there."]
    await ground.wish(RegisterBackend(name="gpu-3", url="https://gpu.example.org"))
    await ground.wish(SeeBackend(sight=BackendSeen(name="gpu-3", executor="east")))
    needs.backends.look_again()
    assert (await reasons())[2] == "It has not told that it takes uploaded LoRAs."


RUNS: dict[str, Callable[[WorkflowId, RunId], Command]] = {
    "a graph": lambda workflow, run: RunGraph(by=ANN, graph=graph()),
    "a workflow": lambda workflow, run: SubmitRun(by=ANN, workflow=workflow),
    "a rerun": lambda workflow, run: Rerun(by=ANN, run=run),
    "parameters": lambda workflow, run: Generate(by=ANN, asked=FOX),
    "a batch": lambda workflow, run: GenerateBatch(by=ANN, runs=(FOX, FOX)),
    "a grid": lambda workflow, run: GenerateGrid(by=ANN, asked=FOX, vary={"cfg": [5, 7]}),
}


@pytest.mark.parametrize("kind", list(RUNS))
async def test_a_repeat_is_answered_as_before_whatever_the_gate_says_by_then(
    ground: Ground, kind: str
) -> None:
    saved = await ground.wish(CreateWorkflow(owner=ANN, name="a", graph=graph()))
    earlier = await ground.wish(RunGraph(by=ANN, graph=graph()))
    wish = RUNS[kind](saved.id, earlier.id)
    first = await ground.wish(wish, key="k")
    await ground.wish(SetGate(rules=GateRules(denied=("CheckpointLoaderSimple",)), reason="Not any more."))
    await has(ground, "gpu-1", OtherNode="nodes")
    head = await ground.log.head()
    again = await ground.wish(wish, key="k")
    assert (again.id, again.position) == (first.id, first.position)
    with pytest.raises(Invalid):
        await ground.wish(wish)
    with pytest.raises(KeyReused):
        await ground.wish(RunGraph(by=ANN, graph=graph(), priority=9), key="k")
    assert await ground.log.head() == head


async def test_a_model_that_a_node_of_others_names_is_asked_for(ground: Ground) -> None:
    detector = {"class_type": "Detector", "inputs": {"weights": "face.pt", "image": ["4", 0]}}
    wanted = graph() | {"5": detector}
    own = {"CheckpointLoaderSimple": "nodes", "Detector": "nodes"}
    await has(ground, "gpu-1", **own)
    await ground.wish(RunGraph(by=ANN, graph=wanted))  # nobody knows that it names a file
    loaders = {"Detector": {"weights": "detectors"}}
    await has(ground, "gpu-1", told={"models": {"detectors": ("hand.pt",)}, "loaders": loaders}, **own)
    assert await refused(ground, wanted) == ["graph.5.inputs.weights"]
    await has(ground, "gpu-2", told={"models": {"detectors": ("face.pt",)}, "loaders": loaders}, **own)
    await ground.wish(RunGraph(by=ANN, graph=wanted))
    submitted = (await ground.happened())[-1]
    assert isinstance(submitted, RunSubmitted)
    assert submitted.requirements.models == (f"checkpoints/{MODEL}", "detectors/face.pt")


async def test_an_account_s_own_backend_says_nothing_of_the_nodes_of_others(ground: Ground) -> None:
    loaders = {"SaveImage": {"filename_prefix": "checkpoints"}}
    await has(ground, "gpu-1", CheckpointLoaderSimple="nodes")
    wish = RegisterBackend(name=own_name(ANN), url="https://own.example.org", owner=ANN, pool=own_name(ANN))
    await ground.wish(wish)
    await seen(ground, own_name(ANN), Inventory(loaders=loaders))
    wanted = graph()
    wanted["9"]["inputs"]["filename_prefix"] = "mine"
    await ground.wish(RunGraph(by=ANN, graph=wanted))


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (Generate(by=ANN, asked=Parameters(checkpoint="none.safetensors", prompt="a fox")), "checkpoint"),
        (
            GenerateBatch(by=ANN, runs=(FOX, Parameters(checkpoint="none.safetensors", prompt="a fox"))),
            "runs[1].checkpoint",
        ),
    ],
)
async def test_who_gave_parameters_is_told_of_parameters(ground: Ground, wish: Command, field: str) -> None:
    chain = ("CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "VAEDecode")
    await has(ground, "gpu-1", **dict.fromkeys(chain, "nodes"))
    await ground.wish(Generate(by=ANN, asked=FOX))
    with pytest.raises(Invalid) as refusal:
        await ground.wish(wish)
    assert [each.field for each in refusal.value.errors] == [field]
