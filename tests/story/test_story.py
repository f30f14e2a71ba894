"""What a person does and sees, over HTTP, on the whole product."""

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from PIL import Image

from infra.up import ROOT
from tests.embedded.wholes import lives
from tests.whole.graphs import THREE, empty, failing, node, pictures, sleeping
from tests.whole.moments import true
from tests.whole.people import Account, Person, joined, live, misbehave, person
from tests.whole.truth import Log, at_rest, attempts_lost, audit, ended_once, read_log
from tests.whole.whole import LOOK_S, PATIENCE_S, Whole, running

TIMEOUT_S = 4


@pytest.fixture(scope="module")
def lasting_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """A whole that gives up sooner than the one that is killed."""
    settings = {
        "COMFYPLUS_LEASE_S": "3",
        "COMFYPLUS_RETRIES": "2",
        "COMFYPLUS_RUN_TIMEOUT_S": str(TIMEOUT_S),
    }
    with running(tmp_path_factory.mktemp("house") / "data", **settings) as whole:
        yield whole


@pytest.fixture
async def house(lasting_house: Whole) -> AsyncIterator[Whole]:
    lasting_house.revive()
    yield lasting_house
    await misbehave(lasting_house.sandbox_url)
    log = await at_rest(lasting_house)
    for run in log.runs():
        ended_once(log.of(run))


@pytest.fixture(scope="module")
def accounts(lasting_house: Whole) -> tuple[Account, Account]:
    return asyncio.run(joined(lasting_house.url)), asyncio.run(joined(lasting_house.url))


@pytest.fixture
async def ann(house: Whole, accounts: tuple[Account, Account]) -> AsyncIterator[Person]:
    async with person(house.url, accounts[0]) as somebody:
        yield somebody


@pytest.fixture
async def bob(house: Whole, accounts: tuple[Account, Account]) -> AsyncIterator[Person]:
    async with person(house.url, accounts[1]) as somebody:
        yield somebody


async def in_comfyui(house: Whole) -> list[str]:
    """The attempts that ComfyUI runs or has waiting."""
    async with httpx.AsyncClient(verify=False, trust_env=False) as http:
        queue = (await http.get(f"{house.sandbox_url}/queue")).json()
    return [entry[1] for entry in (*queue["queue_running"], *queue["queue_pending"])]


async def test_a_picture_with_a_history(house: Whole, ann: Person) -> None:
    run = await ann.submit(await ann.workflow(pictures(1.0)))
    seen = [happening async for happening in live(ann, run)]
    states = [(id, content["status"]) for name, id, content in seen if name == "state"]
    percents = [content["percent"] for name, _, content in seen if name == "progress"]
    assert [id for id, _ in states] == sorted(id for id, _ in states if id)
    assert [status for _, status in states][:3] == ["queued", "queued", "running"]
    assert states[-1][1] == "succeeded"
    assert any(0 < percent < 100 for percent in percents)
    assert percents == sorted(percents)

    shown = await ann.ask("GET", f"/runs/{run}", after=states[-1][0] or 0)
    assert shown["status"] == "succeeded"
    assert [output["name"] for output in shown["outputs"]] == [
        "first_00001_.png",
        "batch_00001_.png",
        "batch_00002_.png",
    ]
    for output in shown["outputs"]:
        assert (await picture(ann, output["url"])).size == (64, 64)
        assert (await picture(ann, output["thumbnails"][0]["url"])).format == "WEBP"

    history = await ann.history(run)
    assert [(each["topic"], each["actor"]) for each in history] == [
        ("run.submitted.v1", ann.id),
        ("run.claimed.v1", "dispatch"),
        ("run.started.v1", "executor:local"),
        *[("run.output_stored.v1", "executor:local")] * 3,
        ("run.succeeded.v1", "executor:local"),
    ]
    assert [each["position"] for each in history] == [id for id, _ in states]

    later = [id async for _, id, _ in live(ann, run, last=history[2]["position"])]
    assert later == [each["position"] for each in history[3:]]


async def test_cancelling_stops_the_run_and_nobody_elses(house: Whole, ann: Person, bob: Person) -> None:
    slow, quick = await ann.workflow(sleeping(3.5)), await bob.workflow(sleeping(0.3))
    running = await ann.submit(slow)
    await ann.until_running(running)
    ahead = await ann.submit(slow)
    await happened(house, ahead, "run.claimed.v1")
    waiting, other = await ann.submit(slow), await bob.submit(quick)
    for run in (waiting, ahead, running):
        assert (await bob.once("POST", f"/runs/{run}/cancel")).status_code == 404
        position = (await ann.ask("POST", f"/runs/{run}/cancel"))["position"]
        assert (await ann.ask("GET", f"/runs/{run}", after=position))["status"] == "cancelled"
    assert (await bob.until_over(other))["status"] == "succeeded"
    await comfyui_has_nothing_to_do(house)
    log = await at_rest(house)
    assert attempts_lost(log.of(other)) == 0
    assert (await ann.once("POST", f"/runs/{running}/cancel")).status_code == 202
    assert (await bob.once("POST", f"/runs/{other}/cancel")).status_code == 409


async def test_what_matters_more_runs_first(house: Whole, ann: Person) -> None:
    blocker, short = await ann.workflow(sleeping(1.5)), await ann.workflow(sleeping(0.05))
    for _ in range(2):  # one that runs and one ahead
        await happened(house, await ann.submit(blocker), "run.claimed.v1")
    runs = {priority: await ann.submit(short, priority=priority) for priority in (1, 9, 5)}
    log = await at_rest(house)
    assert sorted(runs, key=lambda priority: position(log, runs[priority], "run.claimed.v1")) == [9, 5, 1]


async def test_a_node_that_fails_is_named_with_its_reason(house: Whole, ann: Person) -> None:
    run = await ann.until_over(await ann.submit(await ann.workflow(failing("no colour left"))))
    assert (run["status"], run["attempts_lost"]) == ("failed", 1)
    assert (run["failure"]["kind"], run["failure"]["node"]) == ("node", "2")
    assert run["failure"]["node_class"] == "SandboxFail"
    assert "no colour left" in run["failure"]["reason"]


async def test_a_graph_that_comfyui_refuses_is_told_why(house: Whole, ann: Person) -> None:
    graph = {"1": empty(side=-5), "2": node("SaveImage", images=["1", 0], filename_prefix="x")}
    run = await ann.until_over(await ann.submit(await ann.workflow(graph)))
    assert (run["status"], run["attempts_lost"]) == ("failed", 1)
    assert (run["failure"]["kind"], run["failure"]["node"]) == ("validation", "1")
    assert "width" in run["failure"]["reason"]


async def test_a_run_that_takes_too_long_is_stopped(house: Whole, ann: Person) -> None:
    run = await ann.until_over(await ann.submit(await ann.workflow(sleeping(60))))
    assert (run["status"], run["failure"]["kind"]) == ("failed", "timeout")
    assert f"{TIMEOUT_S} seconds" in run["failure"]["reason"]
    await comfyui_has_nothing_to_do(house)


async def test_a_comfyui_that_talks_nonsense_is_as_good_as_none(house: Whole, ann: Person) -> None:
    await misbehave(house.sandbox_url, garbage_paths=["/system_stats", "/queue", "/history", "/prompt"])
    workflow = await ann.workflow(pictures(0.05))
    first = await ann.submit(workflow)
    second = await ann.submit(workflow)
    third = await ann.submit(workflow)
    waiting = await ann.until(third, lambda run: "waiting_for" in run)
    assert waiting["status"] == "queued"
    await misbehave(house.sandbox_url)
    for run in (first, second, third):
        assert (await ann.until_over(run))["status"] == "succeeded"


async def test_a_comfyui_that_never_takes_a_prompt_is_given_up(house: Whole, ann: Person) -> None:
    await misbehave(house.sandbox_url, refuse_paths=["POST /prompt"])
    run = await ann.until_over(await ann.submit(await ann.workflow(pictures(0.05))))
    assert (run["status"], run["attempts_lost"]) == ("failed", 3)
    assert run["failure"]["kind"] == "transport"
    assert run["failure"]["reason"]


async def test_an_executor_that_was_given_up_and_comes_back_is_not_believed(
    house: Whole, ann: Person
) -> None:
    workflow = await ann.workflow(pictures(2.0))
    run = await ann.submit(workflow)
    await ann.until_running(run)
    with house.frozen("execute"):
        await happened(house, run, "run.attempt_lost.v1")
    log = await audit(house, ann, workflow, {run: THREE})
    lost = next(fact for fact in log.of(run) if fact.topic == "run.attempt_lost.v1")
    assert lost.data["failure"]["kind"] == "lost"


async def test_a_read_model_is_replayed_beside_the_running_whole(house: Whole, ann: Person) -> None:
    run = await ann.submit(await ann.workflow(pictures(0.3)))
    before = await ann.until_over(run)
    replaying = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.cli", "replay", "run_status"),
        cwd=ROOT,
        env=os.environ | {"COMFYPLUS_DATA": str(house.data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    talking = asyncio.create_task(replaying.communicate())
    while not talking.done():
        answer = await ann.once("GET", f"/runs/{run}")
        assert answer.status_code == 200
        assert answer.json()["outputs"] == before["outputs"]
    said, error = await talking
    assert replaying.returncode == 0, error
    assert said.startswith(b"run_status: ")
    after = await ann.until_over(await ann.submit(await ann.workflow(pictures(0.05))))
    assert after["status"] == "succeeded"
    assert await ann.run(run) == before


async def test_templates_without_a_model_make_pictures(house: Whole, ann: Person) -> None:
    red, blue = await upload(ann, (96, 80), (250, 0, 0)), await upload(ann, (30, 30), (0, 0, 250))
    resized = await made(ann, "plain_resize", image=red, size={"width": 40, "height": 64}, method="bicubic")
    assert ((await picture(ann, resized["url"])).size, resized["width"]) == ((40, 64), 40)
    blended = await picture(ann, (await made(ann, "plain_blend", below=red, above=blue, factor=0.5))["url"])
    assert (blended.size, blended.getpixel((20, 20))) == ((96, 80), (125, 0, 125))
    sizes = {
        "frame_size": {"width": 60, "height": 40},
        "card_size": {"width": 40, "height": 20},
        "margin": 10,
    }
    named = await made(ann, "plain_card", text="menu", card_color=0xFF0000, frame_color=0x0000FF, **sizes)
    card = await picture(ann, named["url"])
    assert named["name"].startswith("menu")
    assert (card.size, card.getpixel((9, 20)), card.getpixel((30, 20))) == (
        (60, 40),
        (0, 0, 255),
        (255, 0, 0),
    )


async def test_a_template_with_a_model_makes_as_many_pictures_as_were_asked_for(
    house: Whole, ann: Person
) -> None:
    values = {"prompt": "a fox", "checkpoint": "sandbox.safetensors", "steps": 2, "count": 2}
    size = {"width": 64, "height": 64}
    run = await ran(ann, "sd15_text_to_image", **values, size=size)
    assert [output["width"] for output in run["outputs"]] == [64, 64]
    again = await ann.ask("POST", f"/runs/{run['id']}/rerun", json={"parameters": {"count": 1}})
    shown = await ann.until_over(again["id"])
    assert (shown["status"], len(shown["outputs"])) == ("succeeded", 1)
    assert shown["source"]["values"] == run["source"]["values"] | {"count": 1}


async def test_the_same_key_with_another_wish_is_refused(house: Whole, ann: Person) -> None:
    workflow, key = await ann.workflow(pictures(0.05)), uuid4().hex
    run = await ann.submit(workflow, key=key)
    other = await ann.once("POST", f"/workflows/{workflow}/runs", key=key, json={"priority": 9})
    assert other.status_code == 409
    assert (await ann.until_over(run))["status"] == "succeeded"


async def test_sigterm_stops_everything_in_order(lasting_house: Whole) -> None:
    lasting_house.revive()
    pids = lasting_house.pids()
    assert lasting_house.stop() == 0
    assert not any(map(lives, pids.values()))
    assert lasting_house.said().rstrip().endswith("stopped")


# --- looking


async def ran(somebody: Person, template: str, **values: Any) -> dict[str, Any]:
    """The run of a template that has succeeded."""
    key, asked = uuid4().hex, {"values": values}
    accepted = await somebody.ask("POST", f"/templates/{template}/runs", key=key, json=asked)
    run = await somebody.until_over(accepted["id"])
    assert run["status"] == "succeeded", run["failure"]
    return run


async def made(somebody: Person, template: str, **values: Any) -> dict[str, Any]:
    """Its only output."""
    (output,) = (await ran(somebody, template, **values))["outputs"]
    return dict(output)


async def upload(somebody: Person, size: tuple[int, int], color: tuple[int, int, int]) -> str:
    body = io.BytesIO()
    Image.new("RGB", size, color).save(body, "PNG")
    files = {"image": ("a.png", body.getvalue(), "image/png")}
    return str((await somebody.ask("POST", "/inputs", files=files))["id"])


async def picture(somebody: Person, url: str) -> Image.Image:
    answer = await somebody.http.get(url)
    assert answer.status_code == 200
    return Image.open(io.BytesIO(answer.content))


def position(log: Log, run: str, topic: str) -> int:
    return next(fact.position for fact in log.of(run) if fact.topic == topic)


async def happened(house: Whole, run: str, topic: str) -> None:
    await true(lambda: any(fact.topic == topic for fact in read_log(house).of(run)), topic)


async def comfyui_has_nothing_to_do(house: Whole) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await in_comfyui(house):
            await asyncio.sleep(LOOK_S)
