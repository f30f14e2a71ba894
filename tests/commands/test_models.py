"""Who may use which model: nobody learns of one that is kept from them."""

from typing import Any
from uuid import UUID

import pytest

from commands.accounts import GiveRole, RegisterAccount
from commands.audiences import Restriction
from commands.backends import LoseBackend
from commands.batches import GenerateBatch
from commands.generating import Generate, Rerun, RunGraph
from commands.known_models import Offered, offered
from commands.lora_references import verify
from commands.models import ChangeModel, RegisterModel, RemoveModel
from commands.runs import SubmitRun
from commands.workflows import CreateWorkflow
from domain.account import Role
from domain.ids import AccountId, model_id
from domain.model import About
from domain.refusals import FieldError, Invalid
from tests.commands.ground import Ground
from tests.commands.test_gate import MODEL, graph, has
from workflows.parameters import Parameters

ID = model_id("checkpoints", MODEL)
CLASSES = dict.fromkeys(
    (
        *("CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "VAEDecode"),
        "AnyLoader",
    ),
    "nodes",
)
LICENSED = {"type": "checkpoints", "name": MODEL, "reason": "Licensed."}


@pytest.fixture
async def ann(ground: Ground) -> AccountId:
    return await joined(ground, "ann")


@pytest.fixture
async def bob(ground: Ground) -> AccountId:
    return await joined(ground, "bob")


async def joined(ground: Ground, name: str) -> AccountId:
    wish = RegisterAccount(username=name, email=f"{name}@example.com", password="correct horse")
    return AccountId((await ground.wish(wish)).id)


async def told(ground: Ground, wanted: dict[str, Any], by: AccountId) -> tuple[str, tuple[FieldError, ...]]:
    with pytest.raises(Invalid) as refusal:
        await ground.wish(RunGraph(by=by, graph=wanted))
    return str(refusal.value), refusal.value.errors


async def shown(ground: Ground, by: AccountId) -> list[Offered]:
    return [each async for each in offered(by, ground.dispatcher.needs)]


async def test_a_model_that_is_kept_from_somebody_is_told_from_none_that_is_nowhere(
    ground: Ground, ann: AccountId, bob: AccountId
) -> None:
    await has(ground, "gpu-1", **CLASSES)
    await has(ground, "gpu-2", CheckpointLoaderSimple="nodes")
    await ground.wish(RegisterModel(**LICENSED, audience=Restriction(accounts=("Ann",))))
    await ground.wish(RunGraph(by=ann, graph=graph()))
    for more in ({}, {"node_class": "NobodyHasIt"}, {"vae_name": "none"}):
        kept = await told(ground, graph(**more), bob)
        nowhere = await told(ground, graph(**more | {"ckpt_name": "a"}), bob)
        said, errors = nowhere
        assert kept == (
            said,
            tuple(FieldError(e.field, e.reason.replace("model a ", f"model {MODEL} ")) for e in errors),
        )
        assert FieldError("graph.4.inputs.ckpt_name", f"The model {MODEL} is on no backend.") in kept[1]


async def test_every_way_to_run_something_is_closed(ground: Ground, bob: AccountId) -> None:
    await has(ground, "gpu-1", **CLASSES)
    parameters = Parameters(checkpoint=MODEL, prompt="a fox")
    run = await ground.wish(Generate(by=bob, asked=parameters))
    saved = await ground.wish(CreateWorkflow(owner=bob, name="a", graph=graph()))
    await ground.wish(SubmitRun(by=bob, workflow=saved.id))
    last = (await ground.wish(RegisterModel(**LICENSED, active=False))).position
    for wish in (
        Generate(by=bob, asked=parameters),
        GenerateBatch(by=bob, runs=(parameters,)),
        Rerun(by=bob, run=run.id),
        SubmitRun(by=bob, workflow=saved.id),
        RunGraph(by=bob, graph=graph()),
    ):
        with pytest.raises(Invalid) as refusal:
            await ground.wish(wish)
        (error,) = refusal.value.errors
        assert error.reason == f"The model {MODEL} is on no backend."
    assert await ground.happened(after=last) == []
    await ground.wish(ChangeModel(model=ID, active=True, reason="It is back."))
    await ground.wish(Rerun(by=bob, run=run.id))


@pytest.mark.parametrize(
    "inputs",
    [
        {"ckpt_name": f"./{MODEL}"},
        {"ckpt_name": f"x/../{MODEL}"},
        {"ckpt_name": MODEL.upper()},
        {"file": MODEL},
        {"settings": {"deep": [{"model": MODEL}]}},
        {"lora_1": {"on": True, "lora": "kept.safetensors"}},
        {"lora_name": "kept.safetensors"},
    ],
)
async def test_no_other_way_to_name_it_leads_past(
    ground: Ground, bob: AccountId, inputs: dict[str, Any]
) -> None:
    await has(ground, "gpu-1", **CLASSES)
    await ground.wish(RegisterModel(**LICENSED, active=False))
    await ground.wish(RegisterModel(type="loras", name="kept.safetensors", active=False, reason="Old."))
    wanted = graph("AnyLoader")
    wanted["4"]["inputs"] = inputs
    _, errors = await told(ground, wanted, bob)
    assert [error.field for error in errors] in ([f"graph.4.inputs.{name}"] for name in inputs)


async def test_prose_and_other_folders_name_no_model(ground: Ground, bob: AccountId) -> None:
    await has(ground, "gpu-1", **CLASSES)
    await ground.wish(RegisterModel(type="vae", name=MODEL, active=False, reason="Old."))
    await ground.wish(RunGraph(by=bob, graph=graph(text=MODEL)))


async def test_with_no_backend_at_hand_it_is_refused_all_the_same(ground: Ground, bob: AccountId) -> None:
    await ground.wish(RegisterModel(**LICENSED, active=False))
    await ground.wish(RunGraph(by=bob, graph=graph(ckpt_name="other.safetensors")))
    _, errors = await told(ground, graph(), bob)
    assert [error.field for error in errors] == ["graph.4.inputs.ckpt_name"]


async def test_whose_role_is_taken_away_has_no_model_any_more(ground: Ground, ann: AccountId) -> None:
    await has(ground, "gpu-1", **CLASSES)
    await ground.wish(RegisterModel(**LICENSED, audience=Restriction(roles=(Role.ADMIN,))))
    await told(ground, graph(), ann)
    await ground.wish(GiveRole(username="ann", role=Role.ADMIN))
    await ground.wish(RunGraph(by=ann, graph=graph()))
    await ground.wish(GiveRole(username="ann", role=Role.MEMBER))
    await told(ground, graph(), ann)


async def test_what_is_listed_is_what_may_be_used(ground: Ground, ann: AccountId, bob: AccountId) -> None:
    await has(ground, "gpu-1", **CLASSES)
    bare = Offered("checkpoints", MODEL, None, ("gpu-1",))
    assert await shown(ground, bob) == [bare]
    for_ann = Restriction(accounts=("ann",))
    await ground.wish(RegisterModel(**LICENSED, description="For portraits.", audience=for_ann))
    await ground.wish(RegisterModel(type="vae", name="v", base_model="sdxl", reason="It will come."))
    about = (await shown(ground, ann))[0].about
    assert about is not None
    assert about.description == "For portraits."
    assert await shown(ground, bob) == [Offered("vae", "v", About(base_model="sdxl"), (), "sdxl")]
    await ground.wish(ChangeModel(model=ID, everybody=True, reason="Bought for all."))
    assert [each.name for each in await shown(ground, bob)] == [MODEL, "v"]
    await ground.wish(RemoveModel(model=ID, reason="It is as any other."))
    assert (await shown(ground, bob))[0] == bare
    await ground.wish(LoseBackend(name="gpu-1", reason="It is switched off."))
    ground.dispatcher.needs.backends.look_again()
    assert [each.name for each in await shown(ground, bob)] == ["v"]


async def test_a_lora_that_is_kept_from_somebody_is_said_to_be_nowhere(
    ground: Ground, bob: AccountId
) -> None:
    needs = ground.dispatcher.needs
    await has(ground, "gpu-1", **CLASSES)
    await ground.wish(RegisterModel(type="loras", name="kept.safetensors", active=False, reason="Old."))
    kept, nowhere = await verify([("kept.safetensors", None, None), ("none", None, None)], bob, needs)
    assert (kept.works, kept.reasons) == (nowhere.works, nowhere.reasons) == (False, nowhere.reasons)


async def test_only_accounts_that_there_are_can_be_named(ground: Ground, bob: AccountId) -> None:
    for accounts in (("nobody",), (str(UUID(int=1)),), ("bob", "x@example.com")):
        with pytest.raises(Invalid) as refusal:
            await ground.wish(RegisterModel(**LICENSED, audience=Restriction(accounts=accounts)))
        assert refusal.value.errors[0].field == f"audience.accounts.{len(accounts) - 1}"
