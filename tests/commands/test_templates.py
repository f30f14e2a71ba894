"""Runs of templates: what is recorded of them, and what is not let through."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from commands.batches import GenerateBatch, GenerateGrid, SubmittedBatch
from commands.dispatcher import Dispatcher
from commands.filling import FromTemplate
from commands.generating import Generate, Rerun
from commands.inputs import StoreInput
from commands.ports import KeyReused, Outdated
from commands.runs import Submitted
from commands.templates import (
    CreateTemplate,
    DeleteTemplate,
    SavedTemplate,
    SaveTemplateVersion,
    ShowTemplate,
)
from commands.workflows import CreateWorkflow, DeleteWorkflow, Saved
from domain.ids import AccountId, Digest, Position, RunId, WorkflowId
from domain.refusals import Invalid, NotFound
from domain.run import RunSubmitted, source_of
from domain.source import TemplateSource
from tests.commands.ground import Ground, make_ground
from tests.domain.facts import ANN, BOB
from workflows.forms import Form, Template
from workflows.registry import SHIPPED, Registry, load, read_template

REGISTRY = load(SHIPPED)
PICTURE, MASK = Digest("ab" * 32), Digest("cd" * 32)


@pytest.fixture
def ground() -> Ground:
    return with_templates(make_ground(), REGISTRY)


def with_templates(ground: Ground, templates: Registry) -> Ground:
    ground.dispatcher = Dispatcher(replace(ground.dispatcher.needs, templates=templates))
    return ground


def card(**values: Any) -> FromTemplate:
    return FromTemplate(template="plain_card", values=values)


def fox(**values: Any) -> FromTemplate:
    return FromTemplate(template="sd15_text_to_image", values={"prompt": "a fox"} | values)


async def uploaded(ground: Ground, digest: Digest = PICTURE) -> Digest:
    wish = StoreInput(
        by=ANN, digest=digest, name="a.png", media_type="image/png", size_bytes=9, width=3, height=4
    )
    await ground.wish(wish)
    return digest


async def submission(ground: Ground, id: RunId) -> RunSubmitted:
    event = (await ground.log.read(id))[0].event
    assert isinstance(event, RunSubmitted)
    return event


async def source(ground: Ground, id: RunId) -> TemplateSource:
    found = source_of(await submission(ground, id))
    assert isinstance(found, TemplateSource)
    return found


async def document(ground: Ground, digest: Digest) -> Any:
    return msgspec.json.decode(await ground.contents.get(digest) or b"")


async def graph(ground: Ground, id: RunId) -> dict[str, Any]:
    return dict(await document(ground, (await submission(ground, id)).graph.digest))


async def refused(ground: Ground, wish: Any) -> list[str]:
    before = await ground.log.head()
    with pytest.raises(Invalid) as refusal:
        await ground.wish(wish)
    assert await ground.log.head() == before
    return [error.field for error in refusal.value.errors]


async def test_a_run_records_its_template_and_every_value(ground: Ground) -> None:
    made: Submitted = await ground.wish(Generate(by=ANN, asked=fox(steps=3), priority=8))
    event, found = await submission(ground, made.id), await source(ground, made.id)
    assert (event.seed, event.priority, found.template) == (1000, 8, "sd15_text_to_image")
    values = (await document(ground, found.values.digest))["values"]
    assert (values["prompt"], values["steps"], values["seed"], values["loras"]) == ("a fox", 3, 1000, [])
    entry = REGISTRY.get(found.template)
    assert entry
    assert await ground.contents.get(found.version.digest) == entry.body
    assert read_template(entry.body) == entry.template
    assert (await graph(ground, made.id))["6"]["inputs"]["seed"] == 1000
    assert event.requirements.models == ("checkpoints/v1-5-pruned-emaonly-fp16.safetensors",)


async def test_everything_wrong_with_the_values_is_told_by_their_names(ground: Ground) -> None:
    wrong = fox(steps=0, cfg="x", odd=1, size={"width": 63, "height": 64})
    assert await refused(ground, Generate(by=ANN, asked=wrong)) == [
        "values.odd",
        "values.size.width",
        "values.steps",
        "values.cfg",
    ]
    with pytest.raises(NotFound):
        await ground.wish(Generate(by=ANN, asked=FromTemplate(template="nothing", values={})))


async def test_what_is_wrong_in_the_graph_is_told_of_the_value_that_stands_there(ground: Ground) -> None:
    asked = FromTemplate(template="plain_resize", values={"image": PICTURE})
    assert await refused(ground, Generate(by=ANN, asked=asked)) == ["values.image"]
    assert await refused(ground, GenerateBatch(by=ANN, runs=(asked,))) == ["runs[0].image"]
    assert await refused(ground, Generate(by=ANN, asked=card(text="../x"))) == ["values.text"]
    stranger = f"user-{BOB}/a.safetensors"
    wish = Generate(by=ANN, asked=fox(loras=[{"name": "own.safetensors"}, {"name": stranger}]))
    assert await refused(ground, wish) == ["values.loras[1].name"]


async def test_a_picture_is_loaded_by_its_owner_only(ground: Ground) -> None:
    asked = FromTemplate(template="plain_resize", values={"image": await uploaded(ground)})
    made = await ground.wish(Generate(by=ANN, asked=asked))
    assert (await submission(ground, made.id)).inputs == (PICTURE,)
    assert (await graph(ground, made.id))["1"]["inputs"]["image"] == f"input:{PICTURE}"
    assert await refused(ground, Generate(by=BOB, asked=asked)) == ["values.image"]


async def test_a_batch_has_as_many_runs_as_its_template_allows(ground: Ground) -> None:
    image = await uploaded(ground)
    many = FromTemplate(template="qwen_batch", values={"image": image, "prompt": "night"})
    made: SubmittedBatch = await ground.wish(GenerateBatch(by=ANN, runs=(many,) * 10))
    seeds = {(await submission(ground, id)).seed for id in made.runs}
    assert len(seeds) == 10
    assert await refused(ground, GenerateBatch(by=ANN, runs=(many,) * 11)) == ["runs"]
    single = FromTemplate(template="qwen_single", values=many.values)
    assert await refused(ground, GenerateBatch(by=ANN, runs=(single,) * 2)) == ["runs"]
    wrong = FromTemplate(template="qwen_batch", values={"image": image, "steps": 51})
    assert await refused(ground, GenerateBatch(by=ANN, runs=(many, wrong))) == [
        "runs[1].prompt",
        "runs[1].steps",
    ]


async def test_a_grid_varies_values_with_one_seed(ground: Ground) -> None:
    wish = GenerateGrid(by=ANN, asked=fox(), vary={"cfg": [5, 7], "loras": [[], [{"name": "a"}]]})
    made: SubmittedBatch = await ground.wish(wish)
    seeds = {(await submission(ground, id)).seed for id in made.runs}
    assert (len(made.runs), len(seeds)) == (4, 1)
    assert (await graph(ground, made.runs[3]))["2"]["inputs"]["lora_name"] == "a"
    wrong = GenerateGrid(by=ANN, asked=fox(), vary={"cfg": [5, 99], "odd": [1]})
    assert await refused(ground, wrong) == ["vary.odd"]
    wrong = GenerateGrid(by=ANN, asked=fox(), vary={"cfg": [5, 99]})
    assert await refused(ground, wrong) == ["vary.cfg[1]"]
    assert await refused(ground, GenerateGrid(by=ANN, asked=fox(cfg=0), vary={"cfg": [5]})) == ["values.cfg"]


async def test_run_again_with_other_values_it_is_of_the_template_of_then(ground: Ground) -> None:
    first: Submitted = await ground.wish(Generate(by=ANN, asked=fox(steps=3)))
    same = await ground.wish(Rerun(by=ANN, run=first.id))
    assert (await submission(ground, same.id)).graph == (await submission(ground, first.id)).graph
    other = load(SHIPPED).get("sdxl_text_to_image")
    assert other
    with_templates(ground, Registry({"sd15_text_to_image": other.template}))
    again = await ground.wish(Rerun(by=ANN, run=first.id, changes={"steps": 4}, seed=7))
    event, before, after = (
        await submission(ground, again.id),
        await source(ground, first.id),
        await source(ground, again.id),
    )
    assert (after.version, event.rerun_of, event.seed) == (before.version, first.id, 7)
    values = (await document(ground, after.values.digest))["values"]
    assert (values["steps"], values["seed"], values["prompt"]) == (4, 7, "a fox")
    assert await refused(ground, Rerun(by=ANN, run=first.id, changes={"steps": 0})) == ["steps"]
    with_templates(ground, Registry())
    assert await ground.wish(Rerun(by=ANN, run=first.id))
    with pytest.raises(NotFound):
        await ground.wish(Rerun(by=ANN, run=first.id, changes={"steps": 4}))


async def test_a_template_without_a_seed_is_not_given_one(ground: Ground) -> None:
    first: Submitted = await ground.wish(Generate(by=ANN, asked=card()))
    assert (await submission(ground, first.id)).seed is None
    assert await refused(ground, Rerun(by=ANN, run=first.id, seed=5)) == ["seed"]


STEPS = {"name": "steps", "type": "int", "default": 20, "binds": [{"node": "3", "input": "steps"}]}
SAMPLED = {"3": {"class_type": "KSampler", "inputs": {"steps": 1, "cfg": 7.0}}}


def form(*parameters: Any, **more: Any) -> Form:
    described = {
        "name": "Steps",
        "category": "test",
        "model_family": "sdxl",
        "parameters": parameters or (STEPS,),
    }
    return msgspec.convert(described | more, Form)


async def workflow(ground: Ground, by: AccountId = ANN) -> WorkflowId:
    saved: Saved = await ground.wish(CreateWorkflow(owner=by, name="a", graph=SAMPLED))
    return saved.id


async def published(ground: Ground, **more: Any) -> SavedTemplate:
    wish = CreateTemplate(owner=ANN, workflow=await workflow(ground), form=form(), **more)
    made: SavedTemplate = await ground.wish(wish)
    return made


def of(made: SavedTemplate, **values: Any) -> FromTemplate:
    return FromTemplate(template=str(made.id), values=values)


async def test_a_version_of_a_workflow_becomes_a_template(ground: Ground) -> None:
    made = await published(ground)
    run: Submitted = await ground.wish(Generate(by=ANN, asked=of(made, steps=7)))
    assert (await graph(ground, run.id))["3"]["inputs"] == {"steps": 7, "cfg": 7.0}
    found = await source(ground, run.id)
    assert (found.template, made.version) == (str(made.id), 1)
    body = await ground.contents.get(found.version.digest)
    assert read_template(body or b"") == Template(form(), SAMPLED)
    assert await ground.told(made.id) == ["template.created.v1", "template.version_saved.v1"]


async def test_made_twice_with_one_key_it_is_one_template(ground: Ground) -> None:
    wish = CreateTemplate(owner=ANN, workflow=await workflow(ground), form=form(), public=True)
    first, again = await ground.wish(wish, key="k"), await ground.wish(wish, key="k")
    assert (again.id, again.position) == (first.id, first.position)
    assert (await ground.told(first.id))[-1] == "template.published.v1"


async def test_a_form_that_does_not_fit_is_not_kept(ground: Ground) -> None:
    id = await workflow(ground)
    wrong = form(STEPS | {"default": "x", "binds": [{"node": "9", "input": "steps"}]})
    assert await refused(ground, CreateTemplate(owner=ANN, workflow=id, form=wrong)) == [
        "form.parameters[0].default",
        "form.parameters[0].binds[0].node",
    ]
    for by, version in ((BOB, None), (ANN, 2)):
        with pytest.raises(NotFound):
            await ground.wish(CreateTemplate(owner=by, workflow=id, version=version, form=form()))


async def test_a_template_is_its_owners_until_it_is_published(ground: Ground) -> None:
    made = await published(ground)
    for public in (False, True, False):
        await ground.wish(ShowTemplate(by=ANN, template=made.id, public=public))
        wish = Generate(by=BOB, asked=of(made))
        if public:
            run: Submitted = await ground.wish(wish)
        else:
            with pytest.raises(NotFound):
                await ground.wish(wish)
    assert await ground.wish(Rerun(by=BOB, run=run.id))
    with pytest.raises(NotFound):
        await ground.wish(Rerun(by=BOB, run=run.id, changes={"steps": 2}))
    for stranger in (
        ShowTemplate(by=BOB, template=made.id, public=True),
        DeleteTemplate(by=BOB, template=made.id),
        SaveTemplateVersion(by=BOB, template=made.id, workflow=await workflow(ground, BOB), form=form()),
    ):
        with pytest.raises(NotFound):
            await ground.wish(stranger)


async def test_another_version_is_what_is_run_from_then_on(ground: Ground) -> None:
    made = await published(ground)
    first: Submitted = await ground.wish(Generate(by=ANN, asked=of(made)))
    id, other = await workflow(ground), form(STEPS | {"default": 30})
    wish = SaveTemplateVersion(by=ANN, template=made.id, workflow=id, form=other, expected=2)
    assert (await ground.wish(wish)).version == 2
    again = SaveTemplateVersion(by=ANN, template=made.id, workflow=id, form=other)
    assert await ground.wish(again) == SavedTemplate(made.id, 2, Position(0))
    with pytest.raises(Outdated):
        await ground.wish(wish)
    second: Submitted = await ground.wish(Generate(by=ANN, asked=of(made)))
    assert [(await graph(ground, run.id))["3"]["inputs"]["steps"] for run in (first, second)] == [20, 30]
    later: Submitted = await ground.wish(Rerun(by=ANN, run=first.id, changes={}, seed=None))
    assert (await graph(ground, later.id))["3"]["inputs"]["steps"] == 20


async def test_a_deleted_template_is_gone_and_its_runs_stay(ground: Ground) -> None:
    made = await published(ground, public=True)
    run: Submitted = await ground.wish(Generate(by=BOB, asked=of(made)))
    await ground.wish(DeleteTemplate(by=ANN, template=made.id))
    assert (await ground.wish(DeleteTemplate(by=ANN, template=made.id))).position == 0
    for by in (ANN, BOB):
        with pytest.raises(NotFound):
            await ground.wish(Generate(by=by, asked=of(made)))
    assert await ground.wish(Rerun(by=BOB, run=run.id))


async def test_inpainting_needs_a_picture_and_a_mask(ground: Ground) -> None:
    image, mask = await uploaded(ground), await uploaded(ground, MASK)
    values = {"image": image, "mask": mask, "prompt": "a scarf"}
    wish = Generate(by=ANN, asked=FromTemplate(template="qwen_inpaint", values=values), inpaint=True)
    made = await ground.wish(wish)
    assert set((await submission(ground, made.id)).inputs) == {image, mask}
    assert await refused(ground, Generate(by=ANN, asked=fox(), inpaint=True)) == ["mask"]


async def test_a_repeat_is_answered_as_before_whatever_has_become_of_the_workflow(ground: Ground) -> None:
    id = await workflow(ground)
    create = CreateTemplate(owner=ANN, workflow=id, form=form())
    made = await ground.wish(create, key="a")
    other = replace(form(), name="Another")
    save = SaveTemplateVersion(by=ANN, template=made.id, workflow=id, form=other)
    second = await ground.wish(save, key="b")
    third = await ground.wish(SaveTemplateVersion(by=ANN, template=made.id, workflow=id, form=form()))
    assert (made.version, second.version, third.version) == (1, 2, 3)
    await ground.wish(DeleteWorkflow(by=ANN, workflow=id))
    head = await ground.log.head()
    assert await ground.wish(create, key="a") == made
    assert await ground.wish(save, key="b") == second
    with pytest.raises(KeyReused):
        await ground.wish(create, key="b")
    assert await ground.log.head() == head
