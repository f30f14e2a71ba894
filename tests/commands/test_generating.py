"""Runs of parameters and of graphs, run again, and many at once."""

import asyncio
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from commands.batches import CancelBatch, GenerateBatch, GenerateGrid, SubmittedBatch
from commands.generating import Generate, Rerun, RunGraph
from commands.runs import CancelRun, DeleteRun, SubmitRun, Submitted
from commands.workflows import CreateWorkflow, Saved
from domain.batch import BatchCancelled, BatchSubmitted
from domain.ids import BatchId, RunId
from domain.refusals import Conflict, Invalid, NotFound
from domain.run import RUN, RunSubmitted, Status, source_of
from domain.source import GraphSource, ParametersSource, WorkflowSource
from tests.commands.ground import GRAPH, Ground
from tests.domain.facts import ANN, BOB
from workflows.parameters import read_parameters

FOX = read_parameters({"checkpoint": "sd15.safetensors", "prompt": "a fox"})
SAMPLED: dict[str, Any] = {"3": {"class_type": "KSampler", "inputs": {"seed": 1}}}


async def submission(ground: Ground, id: RunId) -> RunSubmitted:
    event = (await ground.log.read(id))[0].event
    assert isinstance(event, RunSubmitted)
    return event


async def sampler_seed(ground: Ground, id: RunId) -> int:
    body = await ground.contents.get((await submission(ground, id)).graph.digest)
    graph = msgspec.json.decode(body or b"{}")
    (seed,) = (node["inputs"]["seed"] for node in graph.values() if node["class_type"] == "KSampler")
    return int(seed)


async def status(ground: Ground, id: RunId) -> Status:
    state, _ = await ground.dispatcher.needs.streams.load(RUN, id)
    return state.status


async def test_a_seed_is_drawn_and_recorded_where_the_run_is_shown(ground: Ground) -> None:
    made: Submitted = await ground.wish(Generate(by=ANN, asked=FOX, priority=8))
    event = await submission(ground, made.id)
    assert (event.owner, event.priority, event.seed) == (ANN, 8, 1000)
    assert event.requirements.models == ("checkpoints/sd15.safetensors",)
    source = source_of(event)
    assert isinstance(source, ParametersSource)
    values = msgspec.json.decode(await ground.contents.get(source.values.digest) or b"")
    assert (values["seed"], values["prompt"]) == (1000, "a fox")
    assert await sampler_seed(ground, made.id) == 1000


async def test_generated_twice_with_one_key_it_is_one_run_with_one_seed(ground: Ground) -> None:
    wish = Generate(by=ANN, asked=FOX)
    first, again = await ground.wish(wish, key="k"), await ground.wish(wish, key="k")
    assert (again.id, again.position) == (first.id, first.position)
    together = await asyncio.gather(*(ground.wish(wish, key="j") for _ in range(5)))
    assert len({each.id for each in together}) == 1
    assert await ground.log.head() == 2


async def test_a_graph_is_run_once_without_being_kept(ground: Ground) -> None:
    made = await ground.wish(RunGraph(by=ANN, graph=GRAPH))
    event = await submission(ground, made.id)
    assert source_of(event) == GraphSource()
    assert (event.workflow, event.workflow_version) == (None, None)
    with pytest.raises(Invalid):
        await ground.wish(RunGraph(by=ANN, graph={}))


async def test_run_again_it_is_the_same_to_the_byte(ground: Ground) -> None:
    first = await ground.wish(Generate(by=ANN, asked=FOX, priority=8))
    again = await ground.wish(Rerun(by=ANN, run=first.id))
    before, after = await submission(ground, first.id), await submission(ground, again.id)
    assert (after.graph, after.source, after.seed, after.priority) == (
        before.graph,
        before.source,
        before.seed,
        8,
    )
    assert after.rerun_of == first.id


async def test_run_again_with_other_values_the_rest_stays(ground: Ground) -> None:
    first = await ground.wish(Generate(by=ANN, asked=FOX))
    again = await ground.wish(Rerun(by=ANN, run=first.id, changes={"steps": 3}, priority=2))
    event = await submission(ground, again.id)
    source = source_of(event)
    assert isinstance(source, ParametersSource)
    values = msgspec.json.decode(await ground.contents.get(source.values.digest) or b"")
    assert (values["steps"], values["prompt"], values["seed"], event.priority) == (3, "a fox", 1000, 2)
    other = await ground.wish(Rerun(by=ANN, run=first.id, seed=-1))
    assert await sampler_seed(ground, other.id) not in (-1, 1000)
    with pytest.raises(Invalid):
        await ground.wish(Rerun(by=ANN, run=first.id, changes={"surprise": 3}))


async def test_a_workflow_run_again_with_another_seed_is_still_of_that_workflow(ground: Ground) -> None:
    saved: Saved = await ground.wish(CreateWorkflow(owner=ANN, name="a", graph=SAMPLED))
    first = await ground.wish(SubmitRun(by=ANN, workflow=saved.id))
    again = await ground.wish(Rerun(by=ANN, run=first.id, seed=5))
    event = await submission(ground, again.id)
    assert source_of(event) == WorkflowSource(saved.id, 1)
    assert (event.seed, await sampler_seed(ground, again.id)) == (5, 5)
    same = await submission(ground, (await ground.wish(Rerun(by=ANN, run=first.id))).id)
    assert same.graph == (await submission(ground, first.id)).graph
    with pytest.raises(Invalid, match="only its seed"):
        await ground.wish(Rerun(by=ANN, run=first.id, changes={"steps": 3}))


async def test_a_seed_that_cannot_be_set_is_refused(ground: Ground) -> None:
    plain = await ground.wish(RunGraph(by=ANN, graph=GRAPH))
    sampled = await ground.wish(RunGraph(by=ANN, graph=SAMPLED))
    for id, seed in ((plain.id, 5), (sampled.id, -2), (sampled.id, 2**64)):
        with pytest.raises(Invalid):
            await ground.wish(Rerun(by=ANN, run=id, seed=seed))


async def test_nobody_runs_again_what_is_not_theirs_or_was_deleted(ground: Ground) -> None:
    first = await ground.wish(Generate(by=ANN, asked=FOX))
    for by, id in ((BOB, first.id), (ANN, RunId(uuid4()))):
        with pytest.raises(NotFound):
            await ground.wish(Rerun(by=by, run=id))
    with pytest.raises(Conflict):
        await ground.wish(DeleteRun(by=ANN, run=first.id))
    await ground.wish(CancelRun(by=ANN, run=first.id))
    await ground.wish(DeleteRun(by=ANN, run=first.id))
    assert (await ground.wish(DeleteRun(by=ANN, run=first.id))).position == 0
    with pytest.raises(NotFound):
        await ground.wish(Rerun(by=ANN, run=first.id))


async def test_a_grid_is_one_append_with_one_seed(ground: Ground) -> None:
    wish = GenerateGrid(by=ANN, asked=FOX, vary={"cfg": [5, 7], "steps": [1, 2]})
    made: SubmittedBatch = await ground.wish(wish)
    whole, *runs = await ground.happened()
    assert isinstance(whole, BatchSubmitted)
    assert (whole.runs, whole.varied, made.position) == (made.runs, ("cfg", "steps"), 5)
    plan = msgspec.json.decode(await ground.contents.get(whole.plan.digest) or b"")
    assert plan[1] == {"cfg": 5, "steps": 2}
    assert [run.batch.place for run in runs if isinstance(run, RunSubmitted) and run.batch] == [0, 1, 2, 3]
    assert len({run.seed for run in runs if isinstance(run, RunSubmitted)}) == 1


async def test_varied_seeds_are_drawn_each_by_itself(ground: Ground) -> None:
    made = await ground.wish(GenerateGrid(by=ANN, asked=FOX, vary={"seed": [-1, -1, 7]}))
    seeds = [(await submission(ground, id)).seed for id in made.runs]
    assert len(set(seeds)) == 3
    assert seeds[2] == 7


async def test_a_batch_submitted_twice_with_one_key_is_one_batch(ground: Ground) -> None:
    wish = GenerateBatch(by=ANN, runs=(FOX, FOX))
    first = await ground.wish(wish, key="k")
    assert await ground.wish(wish, key="k") == first
    together = await asyncio.gather(*(ground.wish(wish, key="j") for _ in range(5)))
    assert len({each.id for each in together}) == 1
    assert len({each.runs for each in together}) == 1
    assert await ground.log.head() == 6


async def test_of_a_batch_with_a_fault_nothing_is_submitted(ground: Ground) -> None:
    wrong = msgspec.structs.replace(FOX, mask="x", seed=-5)
    with pytest.raises(Invalid) as refusal:
        await ground.wish(GenerateBatch(by=ANN, runs=(FOX, wrong)))
    assert [error.field for error in refusal.value.errors] == ["runs[1].seed", "runs[1].mask"]
    for priority in (0, 11):
        with pytest.raises(Invalid):
            await ground.wish(GenerateBatch(by=ANN, runs=(FOX, FOX), priority=priority))
    assert await ground.log.head() == 0


async def test_a_cancelled_batch_leaves_what_is_over_as_it_is(ground: Ground) -> None:
    made = await ground.wish(GenerateBatch(by=ANN, runs=(FOX,) * 4))
    await ground.wish(CancelRun(by=ANN, run=made.runs[0]))
    await ground.wish(DeleteRun(by=ANN, run=made.runs[0]))
    await ground.wish(CancelBatch(by=ANN, batch=made.id))
    assert [await status(ground, id) for id in made.runs] == [
        Status.DELETED,
        Status.CANCELLED,
        Status.CANCELLED,
        Status.CANCELLED,
    ]
    assert isinstance((await ground.happened())[-1], BatchCancelled)
    assert (await ground.wish(CancelBatch(by=ANN, batch=made.id))).position == 0


async def test_whoever_was_killed_while_cancelling_a_batch_goes_on_when_asked_again(ground: Ground) -> None:
    made = await ground.wish(GenerateBatch(by=ANN, runs=(FOX,) * 4))
    for id in made.runs[:2]:  # so far it came
        await ground.wish(CancelRun(by=ANN, run=id))
    await ground.wish(CancelBatch(by=ANN, batch=made.id))
    assert {await status(ground, id) for id in made.runs} == {Status.CANCELLED}


async def test_strangers_cancel_no_batch(ground: Ground) -> None:
    made = await ground.wish(GenerateBatch(by=ANN, runs=(FOX,)))
    for by, id in ((BOB, made.id), (ANN, BatchId(uuid4())), (ANN, BatchId(made.runs[0]))):
        with pytest.raises(NotFound):
            await ground.wish(CancelBatch(by=by, batch=id))
    assert await status(ground, made.runs[0]) is Status.QUEUED
