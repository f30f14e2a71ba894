"""A backup of a whole at work, brought back on another machine: the same answers, whatever NATS remembers."""

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec import Struct

from infra.backup.restore import bring_back
from infra.operating import stopped_database
from infra.settings import Settings, load_secret, role_url
from infra.wiring import connect, read_models
from projections.rebuild import rebuild
from tests.terminal import begun
from tests.whole.graphs import THREE, pictures
from tests.whole.people import Account, Person, person
from tests.whole.read_models import Rows, read_models_are_rebuilt_the_same, rows_of
from tests.whole.truth import (
    at_rest,
    ended_once,
    outputs_are_there,
    read_log,
    the_log_is_whole,
    the_stream_is_the_log,
)
from tests.whole.whole import PATIENCE_S, Whole, running

SEALS = "SELECT last_position, encode(seal, 'hex') FROM log.seals WHERE last_position <= %s ORDER BY 1"
READ_MODELS = ("workflow_shelf", "gallery", "run_status", "audit_trail")


class Before(Struct, frozen=True):
    """What the first machine was asked, what it answered, and what it has left behind."""

    data: Path
    ann: Account
    answers: dict[str, Any]
    under_load: Path
    at_rest: Path
    rows: dict[str, tuple[int, Rows]]
    seals: list[tuple[int, str]]
    last_sequence: int


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    return asyncio.run(_lived(tmp_path_factory.mktemp("restore")))


async def _lived(folder: Path) -> Before:
    with running(folder / "old") as old:
        async with person(old.url) as somebody:
            account = await somebody.join()
        async with person(old.url, account) as ann:
            workflow = await ann.workflow(pictures(0.05), public=True)
            runs = [await ann.submit(workflow) for _ in range(3)]
            for run in runs:
                assert (await ann.until_over(run))["status"] == "succeeded"
            await at_rest(old)
            answers = await asked(ann, workflow, runs)
            # Another, for the first one's answers tell how often it was run; slow, for each run is looked at later.
            another = await ann.workflow(pictures(0.5))
            load = [asyncio.create_task(_endless(ann, another)) for _ in range(3)]
            try:
                await asyncio.to_thread(_backup, old, folder / "load.tar", "--with-objects")
            finally:
                for task in load:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
            log = await at_rest(old)
            await asyncio.to_thread(_backup, old, folder / "rest")
            rows = {name: rows_of(old.owner_url, name) for name in READ_MODELS}
            seals = seals_of(old.owner_url)
        assert old.stop() == 0
    return Before(
        folder / "old", account, answers, folder / "load.tar", folder / "rest", rows, seals, len(log.facts)
    )


async def _endless(ann: Person, workflow: str) -> None:
    """One run after the other: what piles up would only have to be waited for."""
    while True:
        await ann.until_over(await ann.submit(workflow))


def _backup(whole: Whole, target: Path, *options: str) -> None:
    _command(whole.data, "backup", str(target), *options)


def _command(data: Path, *arguments: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMFYPLUS_")}
    said = data.with_name(f"{data.name}.said")
    process = begun(arguments, inherited | {"COMFYPLUS_DATA": str(data)}, said)
    process.join(PATIENCE_S)
    assert process.exitcode == 0, said.read_text()
    return said.read_text()


async def asked(ann: Person, workflow: str, runs: list[str]) -> dict[str, Any]:
    """Answers by path, without the links, which hold for an hour."""
    paths = ["/auth/me", f"/workflows/{workflow}", f"/workflows/{workflow}/versions", "/gallery"]
    paths += [f"/runs/{run}" for run in runs] + [f"/runs/{run}/history" for run in runs]
    return {path: without_links(await ann.ask("GET", path)) for path in paths}


def without_links(answer: Any) -> Any:
    match answer:
        case dict():
            return {name: without_links(value) for name, value in answer.items() if name != "url"}
        case list():
            return [without_links(each) for each in answer]
        case _:
            return answer


def seals_of(owner_url: str, upto: int = 2**60) -> list[tuple[int, str]]:
    with psycopg.connect(owner_url) as connection:
        return list(connection.execute(SEALS, (upto,)).fetchall())


def forgotten(_old: Path, _new: Path) -> None:
    """NATS has lost everything."""


def ahead(old: Path, new: Path) -> None:
    """NATS remembers more than the log does."""
    shutil.copytree(old / "nats" / "store", new / "nats" / "store")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("nats", [forgotten, ahead])
async def test_a_backup_taken_under_load_gives_the_same_answers_elsewhere(
    before: Before, tmp_path: Path, nats: Callable[[Path, Path], None]
) -> None:
    data = tmp_path / "new"
    await asyncio.to_thread(_command, data, "restore", str(before.under_load), "--no-erasures")
    nats(before.data, data)
    with running(data, COMFYPLUS_LEASE_S="5") as new:  # what was under way is waited for that long
        async with person(new.url, before.ann) as ann:  # the token is still good: the secret came along
            log = await at_rest(new)  # what was under way is done again
            the_log_is_whole(log)
            old = dict(before.seals)
            kept = [each for each in seals_of(new.owner_url) if old.get(each[0]) == each[1]]
            assert 0 < len(kept) < len(old), "it was taken while the system worked"
            assert kept == before.seals[: len(kept)]
            for path, answer in before.answers.items():
                assert without_links(await ann.ask("GET", path)) == answer, path
            for run in log.runs():
                facts = log.of(run)
                ended_once(facts)
                shown = await ann.run(run)
                assert (shown["status"], {(each["node"], each["index"]) for each in shown["outputs"]}) == (
                    "succeeded",
                    THREE,
                ), facts
                await outputs_are_there(new, ann, facts, shown)
            workflow = await ann.workflow(pictures(0.05))
            assert (await ann.until_over(await ann.submit(workflow)))["status"] == "succeeded"
            await the_stream_is_the_log(new, await at_rest(new))
            await read_models_are_rebuilt_the_same(new)
            said = await asyncio.to_thread(_command, data, "audit", "verify")
            assert f"Sound: {len(read_log(new).facts)} events" in said.replace(",", "")


@pytest.mark.timeout(300)
async def test_read_models_built_from_a_backup_have_the_same_rows(before: Before, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "new", log_level="warning")
    await asyncio.to_thread(bring_back, settings, before.at_rest, None, no_erasures=True)
    with stopped_database(settings) as url:
        project = role_url(url, load_secret(settings), "comfyplus_project")
        settings = Settings(data=settings.data, project_database_url=project)
        assert seals_of(url) == before.seals
        async with read_models(settings) as models:
            for name in READ_MODELS:
                await rebuild(models[name], connect(project))
                assert rows_of(url, name) == before.rows[name], name
