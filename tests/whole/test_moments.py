"""Faults at the worst moments: between an act and its record, between a record and its answer."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from domain.ids import RunId, attempt_id
from tests.whole.graphs import THREE, pictures
from tests.whole.moments import grown_to, happens, head, true
from tests.whole.people import Person, misbehave
from tests.whole.truth import attempts_lost, audit, read_log
from tests.whole.whole import Whole


def attempt(run: str, epoch: int = 1) -> str:
    return str(attempt_id(RunId(UUID(run)), epoch))


def saved(whole: Whole, run: str, epoch: int = 1) -> int:
    """How many files ComfyUI has written for an attempt."""
    return len(list((whole.sandbox_outputs / attempt(run, epoch)).glob("*")))


def spooled(whole: Whole, text: str) -> bool:
    """Whether the executor has noted something on its disk."""
    return text in (whole.spool / "journal").read_text()


@asynccontextmanager
async def one_run(whole: Whole, somebody: Person, seconds: float = 0.5) -> AsyncIterator[str]:
    """A run that is in the middle of it; afterwards everything is looked at."""
    workflow = await somebody.workflow(pictures(seconds))
    run = await somebody.submit(workflow)
    yield run
    await audit(whole, somebody, workflow, {run: THREE})


# --- the executor


async def test_killed_after_storing_the_outputs_and_before_the_report_is_answered(
    whole: Whole, ann: Person
) -> None:
    async with one_run(whole, ann, 1.0) as run:
        await ann.until_running(run)
        with whole.frozen("dispatch"):
            await true(lambda: spooled(whole, '"settled"'), "reporting")
            whole.kill("execute")
    assert len([fact for fact in read_log(whole).of(run) if fact.topic == "run.succeeded.v1"]) == 1


async def test_killed_while_uploading_it_delivers_what_comfyui_has_already_forgotten(
    whole: Whole, ann: Person
) -> None:
    async with one_run(whole, ann, 1.0) as run:
        await ann.until_running(run)
        outputs = whole.spool / "outputs"
        with whole.frozen("api"):
            await true(lambda: len(list(outputs.glob(f"{attempt(run)}.*"))) == 3, "keeping three files")
            await true(lambda: spooled(whole, '"ended"'), "noting the end")
            with whole.without("sandbox"):
                whole.kill("execute")
                shutil.rmtree(whole.sandbox_outputs)
    assert attempts_lost(read_log(whole).of(run)) == 0


async def test_killed_between_the_claim_and_the_prompt(whole: Whole, ann: Person) -> None:
    await misbehave(whole.sandbox_url, hang_paths=["POST /prompt"])
    async with one_run(whole, ann) as run:
        await true(lambda: spooled(whole, attempt(run)), "submitting")
        with whole.unattended():
            whole.kill("execute")
            await misbehave(whole.sandbox_url)
    assert saved(whole, run, 1) == 0
    assert saved(whole, run, 2) == 3


async def test_killed_when_comfyui_has_taken_the_prompt_without_saying_so(whole: Whole, ann: Person) -> None:
    await misbehave(whole.sandbox_url, lose_answer_paths=["POST /prompt"])
    async with one_run(whole, ann, 1.0) as run:
        await ann.until_running(run)
        whole.kill("execute")
    assert attempts_lost(read_log(whole).of(run)) == 0


async def test_killed_and_its_disk_lost_it_finds_its_run_in_comfyui(whole: Whole, ann: Person) -> None:
    async with one_run(whole, ann, 2.0) as run:
        await ann.until_running(run)
        with whole.without("execute"):
            whole.forget_spool()
    assert attempts_lost(read_log(whole).of(run)) == 0


# --- dispatch and the API


async def test_dispatch_killed_the_moment_a_report_is_in_the_log(whole: Whole, ann: Person) -> None:
    async with one_run(whole, ann) as run:
        await happens(
            whole,
            lambda fact: fact.stream == UUID(run) and fact.topic == "run.succeeded.v1",
            "a report",
        )
        whole.kill("dispatch")


async def test_dispatch_killed_the_moment_a_claim_is_in_the_log(whole: Whole, ann: Person) -> None:
    async with one_run(whole, ann) as run:
        await happens(
            whole, lambda fact: fact.stream == UUID(run) and fact.topic == "run.claimed.v1", "a claim"
        )
        whole.kill("dispatch")


async def test_asking_again_with_the_same_key_across_a_killed_api_submits_once(
    whole: Whole, ann: Person
) -> None:
    workflow = await ann.workflow(pictures(0.05))
    keys = [uuid4().hex for _ in range(8)]
    before = head(whole)
    asking = [asyncio.create_task(ann.submit(workflow, key=key)) for key in keys for _ in range(2)]
    await grown_to(whole, before + 1)
    whole.kill("api")
    answers = await asyncio.gather(*asking)
    again = [await ann.submit(workflow, key=key) for key in keys]
    assert answers == [run for run in again for _ in range(2)]
    await audit(whole, ann, workflow, dict.fromkeys(again, THREE))


async def test_without_a_key_nothing_accepted_is_lost_and_nothing_else_is_left_half_done(
    whole: Whole, ann: Person
) -> None:
    workflow = await ann.workflow(pictures(0.05))
    before = head(whole)
    asking = [
        asyncio.create_task(ann.once("POST", f"/workflows/{workflow}/runs", json={})) for _ in range(12)
    ]
    await grown_to(whole, before + 1)
    whole.kill("api")
    answers = await asyncio.gather(*asking, return_exceptions=True)
    accepted = {
        answer.json()["id"]
        for answer in answers
        if not isinstance(answer, BaseException) and answer.status_code == 202
    }
    stored = set(read_log(whole).runs(workflow))
    assert accepted <= stored
    await audit(whole, ann, workflow, dict.fromkeys(stored, THREE))


# --- ComfyUI


async def test_comfyui_dies_in_a_run_and_stays_away_for_a_while(whole: Whole, ann: Person) -> None:
    workflow = await ann.workflow(pictures(1.0))
    first = await ann.submit(workflow)
    await ann.until_running(first)
    with whole.without("sandbox"):
        second = await ann.submit(workflow)
        waiting = await ann.until(second, lambda run: "waiting_for" in run)
        assert waiting["status"] == "queued"
        assert "No ComfyUI is connected" in waiting["waiting_for"]
    await audit(whole, ann, workflow, {first: THREE, second: THREE})


async def test_comfyui_dies_after_saving_and_before_remembering(whole: Whole, ann: Person) -> None:
    await misbehave(whole.sandbox_url, crash_before_history=True)
    async with one_run(whole, ann):
        pass


async def test_comfyui_says_everything_twice_and_drops_its_line(whole: Whole, ann: Person) -> None:
    await misbehave(
        whole.sandbox_url,
        send_twice=True,
        drop_sockets_at="executed",
        drop_sockets_times=3,
        history_delay_s=0.2,
    )
    async with one_run(whole, ann) as run:
        await ann.until_over(run)
    assert attempts_lost(read_log(whole).of(run)) == 0


# --- everything


async def test_a_power_cut_and_a_start_on_the_same_folder(whole: Whole, ann: Person) -> None:
    workflow = await ann.workflow(pictures(0.3))
    before = head(whole)
    runs = [await ann.submit(workflow) for _ in range(4)]
    await grown_to(whole, before + 12)
    whole.kill_everything()
    whole.start()
    ann.http.base_url = whole.url  # the port was free to take
    await audit(whole, ann, workflow, dict.fromkeys(runs, THREE))


async def test_nats_loses_its_data_while_runs_are_on_their_way(whole: Whole, ann: Person) -> None:
    workflow = await ann.workflow(pictures(0.3))
    before = head(whole)
    runs = [await ann.submit(workflow) for _ in range(3)]
    await grown_to(whole, before + 8)
    with whole.without("nats"):
        whole.forget_nats()
        runs.append(await ann.submit(workflow))
    await audit(whole, ann, workflow, dict.fromkeys(runs, THREE))


async def test_while_postgres_is_away_every_route_says_so(whole: Whole, ann: Person) -> None:
    workflow = await ann.workflow(pictures(0.05))
    run = await ann.submit(workflow)
    await ann.until_over(run)
    joining = {"username": "late", "email": "late@example.org", "password": "correct horse battery"}
    routes: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/auth/register", joining),
        ("POST", "/auth/login", {"login": "late", "password": "correct horse battery"}),
        ("POST", "/auth/refresh", {"refresh_token": "nobody's"}),
        ("GET", "/auth/me", {}),
        ("POST", "/workflows", {"name": "Late", "graph": pictures(0.06)}),
        ("GET", "/workflows", {}),
        ("GET", f"/workflows/{workflow}", {}),
        ("PATCH", f"/workflows/{workflow}", {"name": "Later"}),
        ("POST", f"/workflows/{workflow}/versions", {"graph": pictures(0.07)}),
        ("GET", f"/workflows/{workflow}/versions", {}),
        ("GET", f"/workflows/{workflow}/history", {}),
        ("GET", "/gallery", {}),
        ("POST", f"/workflows/{workflow}/runs", {}),
        ("GET", "/runs", {}),
        ("GET", f"/runs/{run}", {}),
        ("GET", f"/runs/{run}/history", {}),
        ("GET", f"/runs/{run}/live", {}),
        ("POST", "/auth/logout", {}),
    ]
    with whole.without("postgres"):
        answers = await asyncio.gather(
            *(
                ann.once(method, path) if method == "GET" else ann.once(method, path, json=body)
                for method, path, body in routes
            )
        )
    told = {
        f"{method} {path}": answer.status_code
        for (method, path, _), answer in zip(routes, answers, strict=True)
    }
    assert told == dict.fromkeys(told, 503)
    for answer in answers:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"]
    await audit(whole, ann, workflow, {run: THREE})
