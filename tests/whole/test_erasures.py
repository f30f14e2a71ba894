"""kill -9 in the middle of erasures and exports: whoever was forgotten is nowhere, and nobody else is harmed."""

import asyncio
import hashlib
import io
import json
import os
import random
import time
from collections.abc import Iterator
from zipfile import ZipFile

import httpx
import psycopg
import pytest
from msgspec import Struct

from tests.servers import everything, looked_up
from tests.whole.graphs import pictures
from tests.whole.moments import grown_to, head, restarted
from tests.whole.people import PASSWORD, Account, person
from tests.whole.read_models import read_models_are_rebuilt_the_same
from tests.whole.truth import at_rest
from tests.whole.whole import LOOK_S, PATIENCE_S, Whole, running, until

ROUNDS = 3
SOAK_ROUNDS = int(os.environ.get("COMFYPLUS_SOAK_ROUNDS", "50"))
SEED = int(os.environ.get("COMFYPLUS_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
VICTIMS = (("api",), ("errands",), ("api", "errands"), ("project",), ("postgres",), ("errands", "nats"))


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Files of erased accounts are removed within seconds."""
    data = tmp_path_factory.mktemp("forgetful") / "data"
    with running(data, COMFYPLUS_LEASE_S="2", COMFYPLUS_BEAT_S="0.5") as whole:
        yield whole


class Somebody(Struct):
    account: Account
    name: str
    public: str
    digests: set[str]


async def settled(whole: Whole, name: str) -> Somebody:
    """Somebody with everything that can be left behind."""
    async with person(whole.url) as joining:
        asked = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
        registered = await joining.ask("POST", "/auth/register", json=asked)
        tokens = await joining.ask("POST", "/auth/login", json={"login": name, "password": PASSWORD})
    account = Account(registered["id"], tokens["access_token"])
    async with person(whole.url, account) as somebody:
        public = await somebody.workflow(pictures(0), public=True)
        run = await somebody.until_over(await somebody.submit(public))
        digests = {each["digest"] for each in run["outputs"]}
        digests |= {small["digest"] for each in run["outputs"] for small in each["thumbnails"]}
        await somebody.submit(await somebody.workflow(pictures(5), name="Private"))
        return Somebody(account, name, public, digests)


async def forgotten(whole: Whole, somebody: Somebody) -> None:
    """Ask until it is done: it is when the token opens nothing any more."""
    deadline = time.monotonic() + PATIENCE_S
    async with person(whole.url, somebody.account) as one:
        while True:
            try:
                answer = await one.once("DELETE", "/accounts/me", json={"password": PASSWORD})
                if answer.status_code in (200, 202, 401):
                    return
                assert answer.status_code == 503, answer.text
            except httpx.TransportError as error:
                answer = error  # type: ignore[assignment]  # told below
            assert time.monotonic() < deadline, f"nobody is forgotten: {answer}"
            await asyncio.sleep(LOOK_S)


async def exported(whole: Whole, somebody: Somebody) -> bytes:
    async with person(whole.url, somebody.account) as one:
        await one.ask("POST", "/accounts/me/export")
        deadline = time.monotonic() + PATIENCE_S
        while (shown := await one.ask("GET", "/accounts/me/export"))["state"] != "ready":
            assert shown["state"] != "failed", shown
            assert time.monotonic() < deadline, shown
            await asyncio.sleep(LOOK_S)
        answer = await one.http.get(shown["url"])
        return answer.content


@pytest.mark.timeout(600)
async def test_whoever_is_killed_the_forgotten_are_nowhere(forgetful: Whole) -> None:
    print(f"seed {SEED}")
    await rounds(forgetful, ROUNDS)


@pytest.mark.soak
@pytest.mark.timeout(60 * SOAK_ROUNDS)
async def test_many_erasures_survive_many_random_kills(forgetful: Whole) -> None:
    print(f"seed {SEED}")
    await rounds(forgetful, SOAK_ROUNDS)


async def rounds(whole: Whole, count: int) -> None:
    stays = await settled(whole, f"stays-{SEED}-{count}")
    gone = []
    for number in range(count):
        chance = random.Random(f"{SEED} {number}")
        somebody = await settled(whole, f"goes-{SEED}-{count}-{number}")
        gone.append(somebody)
        async with person(whole.url, somebody.account) as one:
            await one.ask("POST", "/accounts/me/export")
        victims, before = chance.choice(VICTIMS), head(whole)
        print(f"round {number}: {victims}", flush=True)
        forgetting = asyncio.create_task(forgotten(whole, somebody))
        await grown_to(whole, before + chance.randint(0, 3))
        died = {victim: whole.kill(victim) for victim in victims}
        for victim, pid in died.items():
            await restarted(whole, victim, pid)
        await forgetting
    until(lambda: finished(whole, len(gone)), "all erasures are finished")
    async with person(whole.url, stays.account) as one:
        await one.until_over(await one.submit(stays.public))
    await at_rest(whole)
    await nowhere(whole, gone, stays)


def finished(whole: Whole, count: int) -> bool:
    """Noted, keys gone, nothing left to do."""
    query = """SELECT (SELECT count(*) FROM work.erasing) + (SELECT count(*) FROM work.exports),
        (SELECT position FROM work.checkpoints WHERE name = 'erasing') >= (
            SELECT max(notification_id) FROM log.events WHERE topic = 'account.erased.v1'
        )"""
    try:
        ((left, seen),) = looked_up(whole.owner_url, query)
    except psycopg.OperationalError:
        return False
    return bool(left == 0 and seen)


async def nowhere(whole: Whole, gone: list[Somebody], stays: Somebody) -> None:
    listed = [json.loads(line) for line in (whole.data / "erasures.jsonl").read_text().splitlines()]
    assert {each["account"] for each in listed} >= {each.account.id for each in gone}
    stored, objects = everything(whole.owner_url), whole.objects()
    assert stays.name in stored
    for somebody in gone:
        assert somebody.name not in stored
        assert not somebody.digests & (objects - stays.digests)
    for folder in ("nats", "objects", "exports", "log"):
        for path in (whole.data / folder).rglob("*"):
            if path.is_file() and path.name != "postgres.log":
                body = path.read_bytes()
                assert not any(each.name.encode() in body for each in gone), path
    async with person(whole.url) as nobody:
        entries = (await nobody.ask("GET", "/gallery", params={"limit": 200}))["items"]
        authors = {each["id"]: each["author"] for each in entries}
    assert authors[stays.public] == stays.name
    assert {authors[each.public] for each in gone} == {"deleted account"}
    assert stays.digests <= objects
    with ZipFile(io.BytesIO(await exported(whole, stays))) as archive:
        told = json.loads(archive.read("account.json"))
        assert (told["id"], told["username"]) == (stays.account.id, stays.name)
        files = {hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    assert stays.digests & files
    await read_models_are_rebuilt_the_same(whole)
