"""What an executor may do to objects, and what nobody may."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from adapters.identity.secrets import ServerSecrets
from adapters.objects.claim_objects import HttpClaimObjects
from domain.ids import Digest, RunId
from services.ports.executing import ObjectsUnavailableError
from services.ports.messages import Assignment
from tests.execution.store import object_server
from tests.http.executor import ByHand, by_hand
from tests.http.person import Person, client
from tests.http.problems import refused
from tests.http.test_beside import Watched
from tests.http.test_workflows import OTHER
from tests.http.whole import Whole
from tests.storage.objects import digest_of

BODY = b"an output" * 100
DIGEST = hashlib.sha256(BODY).hexdigest()
LIMIT = 1024 * 1024


@pytest.fixture
async def hand(served: Whole) -> AsyncIterator[ByHand]:
    async with by_hand(served) as executor:
        yield executor


@pytest.fixture
async def http(served: Whole) -> AsyncIterator[httpx.AsyncClient]:
    async with client(f"{served.url}/api/v1/objects") as http:
        yield http


@pytest.fixture
async def claimed(ann: Person, hand: ByHand) -> AsyncIterator[Assignment]:
    claimed = await hand.claim(await ann.run(await ann.workflow()))
    yield claimed
    await hand.fail(claimed)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def kept(served: Whole) -> set[Path]:
    return {path for path in (served.settings.data / "objects").rglob("*") if path.is_file()}


async def test_a_claim_opens_its_own_graph_and_no_other(
    ann: Person, claimed: Assignment, http: httpx.AsyncClient
) -> None:
    fetched = await http.get(f"/{claimed.graph_digest}", headers=bearer(claimed.token))
    assert fetched.status_code == 200
    assert hashlib.sha256(fetched.content).hexdigest() == claimed.graph_digest
    other = await ann.workflow("another graph", graph=OTHER)
    others = (await ann.get(f"/workflows/{other}"))["graph_digest"]
    for digest in (others, DIGEST, "0" * 64, "x", "..", "%2e%2e", claimed.graph_digest.upper()):
        refused(await http.get(f"/{digest}", headers=bearer(claimed.token)), 404)


async def test_no_other_token_opens_objects(
    served: Whole, ann: Person, claimed: Assignment, http: httpx.AsyncClient
) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    past = datetime.now(UTC) - timedelta(seconds=1)
    stranger = ServerSecrets(b"the secret of another server, long enough")
    body, mac = claimed.token.split(".")
    tokens = {
        "expired": served.secrets.claim_token(claimed.run, claimed.epoch, claimed.graph_digest, past),
        "of another key": stranger.claim_token(claimed.run, claimed.epoch, claimed.graph_digest, soon),
        "an access token": ann.http.headers["authorization"].partition(" ")[2],
        "mac cut": f"{body}.{mac[:-3]}",
        "mac of another": f"{body}.{served.secrets.claim_token(RunId(uuid4()), 1, Digest(DIGEST), soon)}",
        "body changed": f"{body[:-4]}AAAA.{mac}",
        "one part": body,
        "not base64": "*.*",
        "nothing": "x",
    }
    before = kept(served)
    for kind, token in tokens.items():
        fetched = await http.get(f"/{claimed.graph_digest}", headers=bearer(token))
        stored = await http.put(f"/{DIGEST}", content=BODY, headers=bearer(token))
        assert (fetched.status_code, stored.status_code) == (401, 401), kind
        refused(fetched, 401)
    refused(await http.get(f"/{claimed.graph_digest}"), 401)
    refused(await http.put(f"/{DIGEST}", content=BODY, headers={"Authorization": "Basic YTpi"}), 401)
    assert kept(served) == before


async def test_an_object_is_kept_once_however_often_it_is_sent(
    served: Whole, claimed: Assignment, http: httpx.AsyncClient
) -> None:
    answers = await asyncio.gather(
        *(http.put(f"/{DIGEST}", content=BODY, headers=bearer(claimed.token)) for _ in range(4))
    )
    assert [answer.status_code for answer in answers] == [204] * 4
    assert [path.read_bytes() for path in kept(served) if path.name == DIGEST] == [BODY]
    assert not any((served.settings.data / "objects" / "incoming").iterdir())


@pytest.mark.parametrize("name", ["x", "0" * 63, "0" * 65, "Z" * 64, DIGEST.upper(), "..%2f" + "a" * 59])
async def test_an_object_must_be_named_by_a_digest(
    served: Whole, claimed: Assignment, http: httpx.AsyncClient, name: str
) -> None:
    before = kept(served)
    refused(await http.put(f"/{name}", content=BODY, headers=bearer(claimed.token)), 404)
    assert kept(served) == before


async def chunks(size: int, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


async def test_wrong_bytes_and_too_many_bytes_are_not_kept(
    served: Whole, claimed: Assignment, http: httpx.AsyncClient
) -> None:
    before, headers = kept(served), bearer(claimed.token)
    refused(await http.put(f"/{DIGEST}", content=BODY + b"!", headers=headers), 422)
    refused(await http.put(f"/{DIGEST}", content=b"", headers=headers), 422)
    refused(await http.put(f"/{DIGEST}", content=b"x" * (LIMIT + 1), headers=headers), 413)
    refused(await http.put(f"/{DIGEST}", content=chunks(64 * 1024, 17), headers=headers), 413)
    exactly = hashlib.sha256(b"x" * LIMIT).hexdigest()
    assert (await http.put(f"/{exactly}", content=chunks(LIMIT // 4, 4), headers=headers)).status_code == 204
    assert {path.name for path in kept(served) - before} == {exactly}


async def test_an_upload_that_breaks_off_keeps_nothing(served: Whole, claimed: Assignment) -> None:
    address, before = urlsplit(served.url), kept(served)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"PUT /api/v1/objects/{DIGEST} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {claimed.token}\r\n"
    writer.write(head.encode() + b"Content-Length: 900000\r\n\r\n" + bytes(500_000))
    await writer.drain()
    incoming = served.settings.data / "objects" / "incoming"
    async with asyncio.timeout(10):
        while not any(incoming.iterdir()):
            await asyncio.sleep(0.01)
        writer.close()
        await writer.wait_closed()
        while any(incoming.iterdir()):
            await asyncio.sleep(0.01)
    assert kept(served) == before
    assert await reader.read() == b""


async def test_small_objects_are_kept_together(
    served: Whole, claimed: Assignment, http: httpx.AsyncClient
) -> None:
    bodies = [uuid4().bytes * size for size in (1, 2, 3)]
    async with Watched() as transport:
        store = HttpClaimObjects(served.url, transport)
        await asyncio.gather(
            *(store.put(digest_of(body), body, "image/png", claimed.token) for body in bodies)
        )
        assert transport.sent == [("PUT", served.settings.port, 16 + 32 + 48)]
    found = {path.name: path.read_bytes() for path in kept(served)}
    assert [found[digest_of(body)] for body in bodies] == bodies


async def test_what_is_wrong_with_one_of_them_is_told(
    served: Whole, claimed: Assignment, http: httpx.AsyncClient
) -> None:
    one, other = uuid4().bytes, uuid4().bytes
    names = f"{digest_of(one)}:16,{digest_of(other)}"
    held = bearer(claimed.token)
    refused(await http.put(f"?sizes={names}:16", content=one + other), 401)
    for sizes, content in (
        (f"{names}:16", one + one),
        (f"{names}:17", one + other),
        (f"{names}:15", one + other),
        (f"{names}:-16", one),
        (f"{names}", one + other),
    ):
        refused(await http.put(f"?sizes={sizes}", content=content, headers=held), 422)
    refused(await http.put("?sizes=x:16", content=one, headers=held), 404)
    refused(await http.put(f"?sizes={names}:{2 << 20}", content=one + bytes(2 << 20), headers=held), 413)
    assert digest_of(other) not in {path.name for path in kept(served)}


async def test_where_the_api_takes_none_together_each_is_sent_alone() -> None:
    async with object_server() as older, Watched() as transport:
        store = HttpClaimObjects(older.url, transport)
        for number in range(2):
            bodies = [bytes([number, each]) for each in range(2)]
            await asyncio.gather(*(store.put(digest_of(each), each, "image/png", "first") for each in bodies))
            assert {older.objects[digest_of(each)] for each in bodies} == set(bodies)
        assert [size for _, _, size in transport.sent] == [4, 2, 2, 2, 2]


async def test_nobody_is_left_waiting_when_the_store_is_away() -> None:
    async with object_server() as store, Watched() as transport:
        store.away = True
        objects = HttpClaimObjects(store.url, transport)
        puts = [objects.put(digest_of(each), each, "image/png", "first") for each in (b"one", b"other")]
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        assert [type(each) for each in outcomes] == 2 * [ObjectsUnavailableError]
