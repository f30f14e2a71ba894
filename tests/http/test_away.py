"""When Postgres or NATS is away for a while: plain words meanwhile, and by itself everything as before."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from infra.embedded.child import Child, start, stop, wait_until_ready
from infra.embedded.nats import prepare_nats
from infra.embedded.postgres import prepare_postgres
from infra.migrate import ROLES, migrate
from tests.http.executor import by_hand
from tests.http.person import GRAPH, PASSWORD, Person, joined, somebody
from tests.http.problems import refused
from tests.http.test_live import following
from tests.http.whole import Whole, whole
from tests.servers import EXECUTORS, Database, NatsServer
from tests.servers import PASSWORD as SERVERS_PASSWORD

pytestmark = pytest.mark.xdist_group("http-away")  # the servers are stopped and started: one test at a time
PATIENCE_S = 40.0
LOOK_S = 0.1


class Stoppable:
    """A server that can be stopped and started again, at the same address."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.start()

    def start(self) -> None:
        self._process = start(self._child)
        wait_until_ready((self._child, self._process))

    def stop(self) -> None:
        stop(self._child, self._process)


class Ground:
    """A whole on servers of its own."""

    def __init__(self, whole: Whole, postgres: Stoppable, nats: Stoppable) -> None:
        self.whole, self.postgres, self.nats = whole, postgres, nats


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with _ground(tmp_path_factory.mktemp("away")) as made:
        yield made


@contextmanager
def _ground(folder: Path) -> Iterator[Ground]:
    passwords = dict.fromkeys(EXECUTORS, SERVERS_PASSWORD)
    made = prepare_postgres(folder, folder / "postgres.log", durable=False)
    told = prepare_nats(folder, folder / "nats.log", app_password=SERVERS_PASSWORD, executors=passwords)
    postgres, nats = Stoppable(made.child), Stoppable(told.child)
    url = told.url.replace("nats://", f"nats://app:{SERVERS_PASSWORD}@")
    try:
        migrate(made.url, dict.fromkeys(ROLES, SERVERS_PASSWORD))
        with whole(Database(made.url), NatsServer(url, told.monitor_url), folder / "data") as running:
            yield Ground(running, postgres, nats)
    finally:
        nats.stop()
        postgres.stop()


@pytest.fixture
async def ann(ground: Ground) -> AsyncIterator[Person]:
    async with joined(ground.whole) as person:
        yield person


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not await holds():
        assert time.monotonic() < deadline, "it did not recover in time"
        await asyncio.sleep(LOOK_S)


async def test_while_postgres_is_away_everybody_is_told_to_come_back(ground: Ground, ann: Person) -> None:
    workflow = await ann.workflow(public=True)
    run = await ann.run(workflow)
    await ann.get(f"/runs/{run}")
    ground.postgres.stop()
    try:
        asked = {"username": "late-comer", "email": "late@example.org", "password": PASSWORD}
        questions = [
            ("POST", "/auth/register", asked),
            ("POST", "/auth/login", {"login": ann.name, "password": PASSWORD}),
            ("POST", "/auth/refresh", {"refresh_token": ann.refresh_token}),
            ("POST", "/auth/logout", None),
            ("GET", "/auth/me", None),
            ("POST", "/workflows", {"name": "a", "graph": GRAPH}),
            ("PATCH", f"/workflows/{workflow}", {"name": "b"}),
            ("POST", f"/workflows/{workflow}/runs", {}),
            ("POST", f"/runs/{run}/cancel", None),
            ("GET", f"/workflows/{workflow}", None),
            ("GET", "/workflows", None),
            ("GET", "/gallery", None),
            ("GET", "/runs", None),
            ("GET", f"/runs/{run}", None),
            ("GET", f"/runs/{run}/history", None),
            ("GET", f"/runs/{run}/live", None),
        ]
        answers = await asyncio.gather(
            *(ann.ask(method, path, json=body) for method, path, body in questions)
        )
        for answer in answers:
            refused(answer, 503)
        assert (await ann.http.get("/health")).status_code == 200
        assert (await ann.http.get("/health/ready")).status_code == 503
        detailed = (await ann.http.get("/health/detailed")).json()
        assert detailed["status"] == detailed["parts"]["log"]["status"] == "failing"
        for path in ("/nowhere", "/runs/x"):
            refused(await ann.ask("GET", path), 404)
        refused(await ann.ask("POST", "/workflows", content=b"{"), 400)
    finally:
        ground.postgres.start()
    await eventually(lambda: ready(ann))
    await eventually(lambda: works(ann))
    assert (await ann.get("/auth/me"))["username"] == ann.name
    await ann.post("/auth/refresh", {"refresh_token": ann.refresh_token})


async def ready(person: Person) -> bool:
    return (await person.http.get("/health/ready")).status_code == 200


async def works(person: Person) -> bool:
    """A wish is granted, and the read models take it in."""
    answer = await person.ask("POST", "/workflows", json={"name": "after", "graph": GRAPH})
    if answer.status_code == 503:
        return False
    shown = await person.ask("GET", f"/workflows/{answer.json()['id']}")
    return shown.status_code == 200


async def test_connections_that_died_unnoticed_cost_one_answer_at_most(ground: Ground, ann: Person) -> None:
    workflow = await ann.workflow()
    with psycopg.connect(ground.whole.database.url, autocommit=True) as owner:
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'comfyplus_%'"
        )
    answers = [await ann.ask("GET", f"/workflows/{workflow}") for _ in range(12)]
    assert {answer.status_code for answer in answers} <= {200, 503}
    await eventually(lambda: works(ann))


async def test_while_nats_is_away_wishes_are_granted_and_runs_are_followed(
    ground: Ground, ann: Person
) -> None:
    workflow = await ann.workflow()
    ground.nats.stop()
    try:
        run = await ann.run(workflow)
        assert (await ann.get(f"/runs/{run}"))[
            "status"
        ] == "queued"  # read models follow the log by themselves
        async with following(ann, run) as happening:
            assert (await anext(happening)).content["status"] == "queued"
        await eventually(lambda: unready(ann))
    finally:
        ground.nats.start()
    await eventually(lambda: ready(ann))
    async with by_hand(ground.whole) as hand, following(ann, run) as happening:
        assert (await anext(happening)).content["status"] == "queued"
        claimed = await hand.claim(run)
        await hand.start(claimed)
        while (told := await anext(happening)).content["status"] != "running":
            assert told.kind == "state"
        await hand.step(claimed, 50.0)
        assert (await anext(happening)).kind == "progress"
        await hand.succeed(claimed)
        assert [each.content["status"] async for each in happening][-1] == "succeeded"


async def unready(person: Person) -> bool:
    return not await ready(person)


async def test_a_follower_is_not_lost_when_nats_comes_and_goes(ground: Ground, ann: Person) -> None:
    run = await ann.run(await ann.workflow())
    async with following(ann, run) as happening:
        assert (await anext(happening)).content["status"] == "queued"
        ground.nats.stop()
        try:
            await ann.post(f"/runs/{run}/cancel")
        finally:
            ground.nats.start()
        assert (await anext(happening)).content["status"] == "cancelled"
        assert [each async for each in happening] == []


async def test_nothing_is_at_the_address_of_the_server_but_this(ground: Ground) -> None:
    async with somebody(ground.whole) as person:
        assert urlsplit(ground.whole.url).hostname == "127.0.0.1"
        refused(await person.http.get("/"), 404)
