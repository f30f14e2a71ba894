"""Events over HTTP, and the same ones over NATS."""

import asyncio
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig

from adapters.identity.secrets import ServerSecrets
from commands.accounts import GiveRole
from commands.dispatcher import Dispatcher
from commands.streams import Context
from domain.account import Role
from domain.ids import Actor
from infra.settings import load_secret
from infra.wiring import needed, needs, new_id
from tests.http.person import Person
from tests.http.problems import refused
from tests.http.whole import Whole


async def followed(person: Person, key: str | None = None, **asked: Any) -> list[dict[str, Any]]:
    """All pages."""
    headers = {} if key is None else {"X-API-Key": key}
    found: list[dict[str, Any]] = []
    after = asked.pop("after", 0)
    while True:
        page = await person.get("/events", params={"after": after} | asked, headers=headers)
        found += page["events"]
        assert page["position"] >= after
        after = page["position"]
        if page["end"]:
            return found


async def test_events_are_ones_own_and_everybodys(ann: Person, bob: Person, served: Whole) -> None:
    before = served.head()
    mine = await ann.workflow("ann's")
    public = await bob.workflow("bob's", public=True)
    hidden = await bob.workflow("bob's secret")
    found = await followed(ann, after=before)
    assert [(each["type"], each["subject"]) for each in found] == [
        ("workflow.created.v1", mine),
        ("workflow.version_saved.v1", mine),
        ("workflow.published.v1", public),
    ]
    assert hidden not in str(found)
    assert "bob's" not in str(found)


async def test_pages_of_any_size_tell_the_same_story(ann: Person, served: Whole) -> None:
    before = served.head()
    for number in range(7):
        await ann.workflow(f"w{number}")
    whole = await followed(ann, after=before)
    assert len(whole) == 14
    assert await followed(ann, after=before, limit=1) == whole
    assert await followed(ann, after=before, limit=3) == whole
    positions = [int(each["id"]) for each in whole]
    assert positions == sorted(positions)
    assert await followed(ann, after=positions[4]) == whole[5:]


async def test_only_the_types_asked_for(ann: Person, served: Whole) -> None:
    before = served.head()
    workflow = await ann.workflow()
    await ann.run(workflow)
    for types, expected in (
        ("workflow.created.v1", ["workflow.created.v1"]),
        ("run.*", ["run.submitted.v1"]),
        ("workflow.created.v1,run.submitted.v1", ["workflow.created.v1", "run.submitted.v1"]),
    ):
        found = await followed(ann, after=before, types=types)
        assert [each["type"] for each in found] == expected


async def test_internal_events_are_nobodys_business(ann: Person, served: Whole) -> None:
    await ann.post("/api-keys", {"name": "bot", "scopes": ["read"]})
    told = {each["type"].partition(".")[0] for each in await followed(ann)}
    assert told <= {"run", "workflow", "output"}


@pytest.mark.parametrize(
    "asked",
    [
        {"after": -1},
        {"after": 2**63},
        {"limit": 0},
        {"limit": 1001},
        {"types": "no.such"},
        {"types": "account.registered.v1"},
        {"types": ","},
        {"types": "run.*," * 100},
    ],
)
async def test_what_makes_no_sense_is_refused(ann: Person, asked: dict[str, Any]) -> None:
    refused(await ann.ask("GET", "/events", params=asked), 422)


async def test_a_key_needs_the_scope(ann: Person) -> None:
    key = (await ann.post("/api-keys", {"name": "bot", "scopes": ["read", "write"]}))["key"]
    for path in ("/events", "/events/nats"):
        refused(await ann.ask("GET", path, headers={"X-API-Key": key}), 403)
    refused(await ann.ask("GET", "/events/nats"), 403)


async def test_an_administrators_key_follows_everybody_until_the_role_is_gone(
    served: Whole, ann: Person, bob: Person
) -> None:
    before = served.head()
    await give(served, ann, Role.ADMIN)
    key = (await ann.post("/api-keys", {"name": "bot", "scopes": ["events:all"]}))["key"]
    hidden = await bob.workflow("bob's secret")
    assert hidden in str(await followed(ann, key, after=before))
    assert hidden not in str(await followed(ann, after=before))
    await give(served, ann, Role.MEMBER)
    refused(await ann.ask("GET", "/events", headers={"X-API-Key": key}), 401)


async def give(served: Whole, person: Person, role: Role) -> None:
    url = needed(served.settings.app_database_url, "app")
    async with needs(served.settings, ServerSecrets(load_secret(served.settings)), url) as wants:
        context = Context(actor=Actor("operator"), correlation=new_id())
        await Dispatcher(wants).run(GiveRole(username=person.name, role=role), context)


async def test_the_stream_tells_the_same_as_the_log_until_the_key_is_revoked(
    served: Whole, ann: Person
) -> None:
    made = await ann.post("/api-keys", {"name": "bot", "scopes": ["events"]})
    facts = await ann.get("/events/nats", headers={"X-API-Key": made["key"]})
    await ann.workflow()
    closed = asyncio.Event()

    async def close() -> None:
        closed.set()

    async def ignore(_: Exception) -> None:
        pass

    client = Client()
    try:
        await client.connect(
            facts["url"],
            token=made["key"],
            inbox_prefix=facts["inbox_prefix"],
            allow_reconnect=False,
            closed_cb=close,
            error_cb=ignore,
        )
        jetstream = client.jetstream(domain=facts["domain"])
        name = facts["consumers"][0]
        config = ConsumerConfig(name=name, filter_subject=facts["filters"][0], ack_policy=AckPolicy.EXPLICIT)
        await jetstream.add_consumer(facts["stream"], config)
        messages = await jetstream.pull_subscribe_bind(name, facts["stream"])
        expected = [each for each in await followed(ann) if each["type"].startswith("workflow")]
        own = [each for each in expected if each["type"] != "workflow.published.v1"]
        found: list[Any] = []
        async with asyncio.timeout(20):
            while len(found) < 2:
                try:
                    batch = await messages.fetch(10, timeout=1)
                except TimeoutError:
                    continue
                found += [msgspec.json.decode(message.data) for message in batch]
        assert [each for each in own if each in found] == found
        await ann.ask("DELETE", f"/api-keys/{made['id']}")
        async with asyncio.timeout(5):
            await closed.wait()
    finally:
        await client.close()
