"""Presets laid under the values of a run, and texts that are left to chance."""

from typing import Any

import msgspec
import pytest

from commands.batches import GenerateBatch, GenerateGrid, SubmittedBatch
from commands.filling import FromTemplate
from commands.generating import Generate, Rerun
from commands.ports import Outdated
from commands.presets import CreatePreset, DeletePreset, SavedPreset, SavePreset
from commands.runs import Submitted
from domain.ids import AccountId, PresetId, RunId
from domain.refusals import Invalid, NotFound
from tests.commands.ground import Ground, make_ground
from tests.commands.test_templates import REGISTRY, document, graph, refused, source, with_templates
from tests.domain.facts import ANN, BOB
from workflows.forms import Template
from workflows.presets import PresetValues
from workflows.registry import Registry

MILAN = {
    "values": {"steps": 12, "guidance": 2.0, "negative_prompt": "beard"},
    "additions": {"prompt": {"before": "milan, a tall man", "after": "photo"}},
    "loras": [{"name": "milan.safetensors", "strength_model": 0.5}],
}


@pytest.fixture
def ground() -> Ground:
    return with_templates(make_ground(), REGISTRY)


def holding(values: Any) -> PresetValues:
    return msgspec.convert(values, PresetValues)


async def kept(ground: Ground, values: Any = MILAN, **more: Any) -> PresetId:
    wish = CreatePreset(owner=ANN, name="Milan", values=holding(values), **more)
    made: SavedPreset = await ground.wish(wish)
    return made.id


def fox(preset: PresetId | None = None, wildcards: bool | None = None, **values: Any) -> FromTemplate:
    return FromTemplate(
        template="sd15_text_to_image",
        values={"prompt": "a fox"} | values,
        preset=preset,
        wildcards=wildcards,
    )


async def made(ground: Ground, asked: FromTemplate, by: AccountId = ANN) -> RunId:
    submitted: Submitted = await ground.wish(Generate(by=by, asked=asked))
    return submitted.id


async def recorded(ground: Ground, run: RunId) -> Any:
    return await document(ground, (await source(ground, run)).values.digest)


async def test_a_character_goes_with_any_template_that_has_its_parameters(ground: Ground) -> None:
    milan = await kept(ground)
    run = await made(ground, fox(milan, loras=[{"name": "ink.safetensors"}]))
    told = await recorded(ground, run)
    values = told["values"]
    assert (values["prompt"], values["negative_prompt"]) == ("milan, a tall man, a fox, photo", "beard")
    assert (values["steps"], values["cfg"]) == (12, 7.0)
    assert [each["name"] for each in values["loras"]] == ["milan.safetensors", "ink.safetensors"]
    assert "guidance" not in values
    assert told["preset"]["id"] == str(milan)
    nodes = await graph(ground, run)
    assert (nodes["2"]["inputs"]["lora_name"], nodes["2"]["inputs"]["strength_model"]) == (
        "milan.safetensors",
        0.5,
    )


async def test_what_a_run_gives_goes_before_what_its_preset_has(ground: Ground) -> None:
    milan = await kept(ground)
    values = (await recorded(ground, await made(ground, fox(milan, steps=40, negative_prompt=""))))["values"]
    assert (values["steps"], values["negative_prompt"]) == (40, "")


async def test_run_again_with_other_values_a_preset_is_not_laid_under_twice(ground: Ground) -> None:
    milan = await kept(ground)
    first = await made(ground, fox(milan))
    await ground.wish(DeletePreset(by=ANN, preset=milan))
    again: Submitted = await ground.wish(Rerun(by=ANN, run=first, changes={"steps": 3}))
    before, after = await recorded(ground, first), await recorded(ground, again.id)
    assert after == before | {"values": before["values"] | {"steps": 3}}


async def test_a_preset_for_one_template_is_checked_against_it(ground: Ground) -> None:
    wish = CreatePreset(owner=ANN, name="a", template="sd15_text_to_image", values=holding(MILAN))
    assert await refused(ground, wish) == ["values.guidance"]
    wrong = {"values": {"steps": 0}, "additions": {"seed": {"before": "x"}}, "loras": [{"name": "x"}]}
    wish = CreatePreset(owner=ANN, name="a", template="plain_card", values=holding(wrong))
    assert await refused(ground, wish) == ["values.steps", "additions.seed", "loras"]
    with pytest.raises(NotFound):
        await ground.wish(CreatePreset(owner=ANN, name="a", template="nothing", values=holding({})))
    cards = await kept(ground, {"values": {"text": "menu"}}, template="plain_card")
    assert await refused(ground, Generate(by=ANN, asked=fox(cards))) == ["preset"]
    assert await made(ground, FromTemplate(template="plain_card", values={}, preset=cards))


async def test_what_a_preset_holds_is_checked_with_the_rest(ground: Ground) -> None:
    wrong = await kept(ground, {"values": {"steps": "many"}, "additions": {"prompt": {"after": "x" * 5_000}}})
    asked = fox(wrong, prompt="y" * 19_000, cfg=0)
    assert await refused(ground, Generate(by=ANN, asked=asked)) == [
        "values.prompt",
        "values.steps",
        "values.cfg",
    ]


async def test_a_preset_is_its_owners_until_it_is_published(ground: Ground) -> None:
    milan = await kept(ground)
    with pytest.raises(NotFound):
        await made(ground, fox(milan), BOB)
    save = SavePreset(
        by=ANN, preset=milan, name="Milan", values=holding({"values": {"steps": 5}}), public=True
    )
    await ground.wish(save)
    assert (await recorded(ground, await made(ground, fox(milan), BOB)))["values"]["steps"] == 5
    assert (await ground.wish(save)).position == 0
    with pytest.raises(Outdated):
        await ground.wish(
            SavePreset(by=ANN, preset=milan, name="M", values=holding({}), public=True, expected=2)
        )
    for stranger in (
        SavePreset(by=BOB, preset=milan, name="Mine", values=holding({})),
        DeletePreset(by=BOB, preset=milan),
    ):
        with pytest.raises(NotFound):
            await ground.wish(stranger)
    await ground.wish(DeletePreset(by=ANN, preset=milan))
    with pytest.raises(NotFound):
        await made(ground, fox(milan), BOB)
    assert await ground.told(milan) == [
        "preset.created.v1",
        "preset.saved.v1",
        "preset.saved.v1",
        "preset.published.v1",
        "preset.deleted.v1",
    ]


async def test_made_twice_with_one_key_it_is_one_preset(ground: Ground) -> None:
    wish = CreatePreset(owner=ANN, name="Milan", values=holding(MILAN))
    first, again = await ground.wish(wish, key="k"), await ground.wish(wish, key="k")
    assert (again.id, again.position) == (first.id, first.position)


async def test_braces_mean_themselves_unless_wildcards_are_asked_for(ground: Ground) -> None:
    text = "a {red|green} fox"
    plain = await made(ground, fox(prompt=text))
    assert (await graph(ground, plain))["3"]["inputs"]["text"] == text
    assert "texts" not in await recorded(ground, plain)
    chosen = await made(ground, fox(prompt=text, wildcards=True, seed=3))
    told = await recorded(ground, chosen)
    assert told["values"]["prompt"] == text
    assert told["texts"]["prompt"] in ("a red fox", "a green fox")
    assert (await graph(ground, chosen))["3"]["inputs"]["text"] == told["texts"]["prompt"]
    same = await made(ground, fox(prompt=text, wildcards=True, seed=3))
    assert (await recorded(ground, same))["texts"] == told["texts"]


async def test_each_seed_of_a_grid_chooses_by_itself(ground: Ground) -> None:
    asked = fox(prompt="{a|b|c|d|e|f}", wildcards=True)
    wish = GenerateGrid(by=ANN, asked=asked, vary={"seed": list(range(20))})
    batch: SubmittedBatch = await ground.wish(wish)
    said = [(await recorded(ground, id))["texts"]["prompt"] for id in batch.runs]
    assert len(set(said)) > 3
    wrong = GenerateGrid(by=ANN, asked=asked, vary={"prompt": ["{a|b}", "{a"]})
    assert await refused(ground, wrong) == ["vary.prompt[1]"]


async def test_lists_are_those_of_the_preset_and_are_kept_with_the_run(ground: Ground) -> None:
    colours = await kept(ground, {"lists": {"colour": ["red", "green"], "unused": ["x"]}})
    run = await made(ground, fox(colours, wildcards=True, prompt="a __colour__ fox", seed=1))
    told = await recorded(ground, run)
    assert told["lists"] == {"colour": ["red", "green"]}
    assert told["texts"]["prompt"] in ("a red fox", "a green fox")
    await ground.wish(DeletePreset(by=ANN, preset=colours))
    seeds = [await ground.wish(Rerun(by=ANN, run=run, seed=seed)) for seed in range(8)]
    said = {(await recorded(ground, each.id))["texts"]["prompt"] for each in seeds}
    assert said == {"a red fox", "a green fox"}
    for prompt in ("__colour__", "{a|b", "}"):
        assert await refused(ground, Generate(by=ANN, asked=fox(prompt=prompt, wildcards=True))) == [
            "values.prompt"
        ]


async def test_a_form_may_leave_a_text_to_chance_and_a_run_may_not_want_it(ground: Ground) -> None:
    entry = REGISTRY.get("plain_card")
    assert entry
    form = msgspec.json.decode(msgspec.json.encode(entry.template.form)) | {"lists": {"word": ["one", "two"]}}
    form["parameters"][0] |= {"wildcards": True, "default": "__word__-{a|b}"}
    chance = Template(msgspec.convert(form, type(entry.template.form)), entry.template.graph)
    with_templates(ground, Registry({"chance": chance}))
    asked = FromTemplate(template="chance", values={})
    first = await made(ground, asked)
    told = await recorded(ground, first)
    assert told["texts"]["text"] in ("one-a", "one-b", "two-a", "two-b")
    again: Submitted = await ground.wish(Rerun(by=ANN, run=first, changes={"margin": 3}))
    assert (await recorded(ground, again.id))["texts"] == told["texts"]
    off = await made(ground, FromTemplate(template="chance", values={}, wildcards=False))
    assert (await graph(ground, off))["4"]["inputs"]["filename_prefix"] == "__word__-{a|b}"
    batch: SubmittedBatch = await ground.wish(GenerateBatch(by=ANN, runs=(asked,) * 12))
    said = {(await recorded(ground, id))["texts"]["text"] for id in batch.runs}
    assert len(said) > 1


async def test_what_is_chosen_is_never_longer_than_the_parameter_allows(ground: Ground) -> None:
    long = await kept(ground, {"lists": {"long": ["x" * 1_000]}})
    asked = fox(long, wildcards=True, prompt="__long__" * 30)
    with pytest.raises(Invalid) as refusal:
        await ground.wish(Generate(by=ANN, asked=asked))
    assert [error.field for error in refusal.value.errors] == ["values.prompt"]
