"""Where runs wait: in the pool that is named, else in the one that their account was given, else in everybody's."""

from typing import Any
from uuid import uuid4

import pytest

from commands.accounts import GiveRole
from commands.audiences import Restriction
from commands.backends import RegisterBackend, SetOwnBackend
from commands.batches import GenerateBatch, GenerateGrid
from commands.generating import Generate, Rerun, RunGraph
from commands.models import RegisterModel
from commands.queue import AssignPool, SetPool
from commands.runs import SubmitRun
from commands.workflows import CreateWorkflow
from domain.account import Role
from domain.backend import own_name
from domain.ids import AccountId
from domain.queue import PoolSettings
from domain.refusals import Invalid, NotFound
from domain.run import RunSubmitted
from tests.commands.ground import OTHER_GRAPH, Ground
from tests.commands.test_gate import MODEL, graph, has
from tests.commands.test_models import LICENSED, joined
from workflows.parameters import Parameters

URL = "https://gpu.example.org"
PARAMETERS = Parameters(checkpoint=MODEL, prompt="a fox")


@pytest.fixture
async def ann(ground: Ground) -> AccountId:
    return await joined(ground, "ann")


@pytest.fixture
async def bob(ground: Ground) -> AccountId:
    return await joined(ground, "bob")


async def set_up(ground: Ground, name: str, audience: Restriction | None = None) -> None:
    await ground.wish(SetPool(pool=name, settings=PoolSettings(), audience=audience, reason="Rented."))


async def give(ground: Ground, account: AccountId, pool: str | None) -> None:
    await ground.wish(AssignPool(account=account, pool=pool, reason="She works there."))


async def waits(ground: Ground, by: AccountId, pool: str | None = None, **more: Any) -> str:
    """In which pool a run of the account waits."""
    submitted = await ground.wish(RunGraph(by=by, graph=OTHER_GRAPH, pool=pool), **more)
    event, *_ = await ground.happened(submitted.position - 1)
    assert isinstance(event, RunSubmitted)
    return event.pool


async def refused(ground: Ground, by: AccountId, pool: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await waits(ground, by, pool)
    assert [each.field for each in refusal.value.errors] == ["pool"]


async def test_a_run_waits_where_it_is_told_or_where_its_account_has_its_place(
    ground: Ground, ann: AccountId, bob: AccountId
) -> None:
    await set_up(ground, "studio")
    assert await waits(ground, ann) == "shared"
    assert await waits(ground, ann, "studio") == "studio"
    await give(ground, ann, "studio")
    assert (await waits(ground, ann), await waits(ground, bob)) == ("studio", "shared")
    assert await waits(ground, ann, "shared") == "shared"
    await give(ground, ann, None)
    assert await waits(ground, ann) == "shared"


async def test_a_pool_is_there_when_somebody_has_set_it_up_or_a_backend_is_in_it(
    ground: Ground, ann: AccountId
) -> None:
    await refused(ground, ann, "studio")
    await ground.wish(RegisterBackend(name="gpu-1", url=URL, pool="studio"))
    ground.dispatcher.needs.backends.look_again()
    assert await waits(ground, ann, "studio") == "studio"
    await refused(ground, ann, "studios")
    await refused(ground, ann, "x" * 200)


async def test_a_restricted_pool_is_for_those_whom_it_is_meant_for(
    ground: Ground, ann: AccountId, bob: AccountId
) -> None:
    await set_up(ground, "studio", Restriction(roles=(Role.ADMIN,), accounts=("ann",)))
    assert await waits(ground, ann, "studio") == "studio"
    await refused(ground, bob, "studio")
    await ground.wish(GiveRole(username="bob", role=Role.ADMIN))
    assert await waits(ground, bob, "studio") == "studio"
    await ground.wish(GiveRole(username="bob", role=Role.MEMBER))
    await refused(ground, bob, "studio")
    await give(ground, bob, "studio")  # who is given a place may use it
    assert await waits(ground, bob) == await waits(ground, bob, "studio") == "studio"
    await set_up(ground, "shared", Restriction(accounts=("ann",)))
    await give(ground, bob, None)
    await refused(ground, bob, "shared")
    with pytest.raises(Invalid):
        await waits(ground, bob)


async def test_ones_own_pool_is_ones_own(ground: Ground, ann: AccountId, bob: AccountId) -> None:
    await refused(ground, ann, own_name(ann))
    await ground.wish(SetOwnBackend(by=ann, url=URL))
    await set_up(ground, own_name(ann))
    ground.dispatcher.needs.backends.look_again()
    assert await waits(ground, ann, own_name(ann)) == own_name(ann)
    await refused(ground, bob, own_name(ann))
    with pytest.raises(Invalid):
        await give(ground, bob, own_name(ann))
    with pytest.raises(NotFound):
        await give(ground, AccountId(uuid4()), "studio")


async def test_nobody_keeps_models_from_ones_own_backend(ground: Ground, ann: AccountId) -> None:
    await ground.wish(SetOwnBackend(by=ann, url=URL))
    await ground.wish(RegisterModel(**LICENSED, active=False))
    await ground.wish(RunGraph(by=ann, graph=graph(), pool=own_name(ann)))
    with pytest.raises(Invalid):  # others could take it
        await ground.wish(RunGraph(by=ann, graph=graph()))


async def test_only_backends_of_the_pool_count(ground: Ground, ann: AccountId) -> None:
    await has(ground, "gpu-1", CheckpointLoaderSimple="nodes")
    await set_up(ground, "studio")
    await ground.wish(
        RunGraph(by=ann, graph=graph("NobodyHasIt"), pool="studio")
    )  # nobody is there: it waits
    with pytest.raises(Invalid):
        await ground.wish(RunGraph(by=ann, graph=graph("NobodyHasIt")))


async def test_every_way_to_run_something_names_a_pool(ground: Ground, ann: AccountId) -> None:
    await set_up(ground, "studio")
    saved = await ground.wish(CreateWorkflow(owner=ann, name="a", graph=OTHER_GRAPH))
    run = await ground.wish(Generate(by=ann, asked=PARAMETERS, pool="studio"))
    last = run.position
    for wish, count in (
        (SubmitRun(by=ann, workflow=saved.id, pool="studio"), 1),
        (Rerun(by=ann, run=run.id), 1),
        (Rerun(by=ann, run=run.id, seed=3, pool="studio"), 1),
        (GenerateBatch(by=ann, runs=(PARAMETERS,) * 2, pool="studio"), 2),
        (GenerateGrid(by=ann, asked=PARAMETERS, vary={"cfg": [1, 2, 3]}, pool="studio"), 3),
    ):
        await ground.wish(wish)
        events = [each for each in await ground.happened(last) if isinstance(each, RunSubmitted)]
        assert [each.pool for each in events] == ["studio"] * count
        last += len(await ground.happened(last))


async def test_a_repeat_is_answered_although_the_pool_is_for_others_now(
    ground: Ground, ann: AccountId
) -> None:
    await set_up(ground, "studio")
    saved = await ground.wish(CreateWorkflow(owner=ann, name="a", graph=OTHER_GRAPH))
    for wish in (
        RunGraph(by=ann, graph=OTHER_GRAPH, pool="studio"),
        SubmitRun(by=ann, workflow=saved.id, pool="studio"),
        Generate(by=ann, asked=PARAMETERS, pool="studio"),
        GenerateBatch(by=ann, runs=(PARAMETERS,), pool="studio"),
    ):
        await set_up(ground, "studio")
        first = await ground.wish(wish, key=type(wish).__name__)
        await set_up(ground, "studio", Restriction(roles=(Role.ADMIN,)))
        assert (await ground.wish(wish, key=type(wish).__name__)).id == first.id
