"""Prompts over ComfyUI's own HTTP and WebSocket: of the one who asks, and nobody else's."""

import asyncio
import json
import logging
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import psycopg
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from adapters.http.gateway.prompts import MAX_SECRETS_BYTES
from domain.outcome import Course, NodeShown
from services.ports.messages import Assignment, NodesTold, Succeeded
from tests.http.executor import ByHand, by_hand
from tests.http.person import GRAPH, Person, png
from tests.http.whole import Whole

PATIENCE_S = 20.0
COURSE = Course((), ("1", "2"), (NodeShown("2", "2", '{"images":[{"filename":"a","type":"output"}]}'),))
NODE = '{"type":"executing","data":{"node":"%s","display_node":"%s","prompt_id":"x"}}'


@pytest.fixture
async def hand(served: Whole) -> AsyncIterator[ByHand]:
    async with by_hand(served) as executor:
        yield executor


async def ask(person: Person, method: str, path: str, **request: Any) -> httpx.Response:
    answer = await person.http.request(method, f"/comfy{path}", **request)
    assert answer.status_code != 500, answer.text
    return answer


async def prompt(person: Person, **more: Any) -> Any:
    answer = await ask(person, "POST", "/prompt", json={"prompt": GRAPH} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()["prompt_id"]


async def queue(person: Person) -> tuple[list[str], list[str]]:
    """The ids of what runs and of what waits."""
    told = (await ask(person, "GET", "/queue")).json()
    return [each[1] for each in told["queue_running"]], [each[1] for each in told["queue_pending"]]


async def run_of(person: Person, id: str) -> str:
    """Its run, as the API knows it: the newest."""
    return str((await person.get("/runs"))["items"][0]["id"])


@asynccontextmanager
async def socket(whole: Whole, person: Person, sid: str = "") -> AsyncIterator[ClientConnection]:
    headers = {"Authorization": person.http.headers["Authorization"]}
    url = whole.url.replace("http:", "ws:") + f"/comfy/ws?clientId={sid}"
    async with asyncio.timeout(PATIENCE_S), connect(url, additional_headers=headers) as opened:
        yield opened


async def hear(line: ClientConnection, last: str = "executing None") -> list[str]:
    """What is told until that is told, each by its type and node."""
    told: list[str] = []
    while last not in told:
        message = json.loads(await line.recv())
        node = f" {message['data']['node']}" if "node" in message["data"] else ""
        told.append(message["type"] + node)
    return told


async def finish(hand: ByHand, claimed: Assignment) -> None:
    await hand.store(claimed, png(9, 8), name="blue_00001_.png")
    await hand.report(claimed, Succeeded(execution_s=0.25, course=COURSE))


async def test_a_prompt_is_a_run_under_its_clients_name(ann: Person, hand: ByHand) -> None:
    workflow = {"nodes": [], "id": "editor"}
    secrets = {"auth_token_comfy_org": "hush", "extra_pnginfo": {"workflow": workflow}}
    asked = {"client_id": "w", "prompt_id": "my own é/1", "extra_data": secrets}
    assert await prompt(ann, **asked) == "my own é/1"
    assert await prompt(ann, **asked) == "my own é/1"  # sent again: the same one
    assert await queue(ann) == ([], ["my own é/1"])
    assert (await ask(ann, "GET", "/prompt")).json() == {"exec_info": {"queue_remaining": 1}}
    (waiting,) = (await ask(ann, "GET", "/queue")).json()["queue_pending"]
    assert waiting[2:4] == [GRAPH, {"extra_pnginfo": {"workflow": workflow}, "client_id": "w"}]
    other = {"prompt": GRAPH | {"9": GRAPH["1"]}, "prompt_id": "my own é/1"}
    assert (await ask(ann, "POST", "/prompt", json=other)).status_code == 409

    claimed = await hand.claim(await run_of(ann, "my own é/1"))
    assert claimed.prompted
    assert msgspec.json.decode(zlib.decompress(claimed.extra or b"")) == secrets
    await hand.start(claimed)
    assert await queue(ann) == (["my own é/1"], [])
    assert (await ask(ann, "GET", "/history/my%20own%20%C3%A9%2F1")).json() == {}
    assert (await ask(ann, "GET", "/history_v2/my%20own%20%C3%A9%2F1")).status_code == 404
    await finish(hand, claimed)
    told = (await ask(ann, "GET", "/history_v2/my%20own%20%C3%A9%2F1")).json()["my own é/1"]
    assert told["prompt"][2] == GRAPH
    assert told["outputs"] == {
        "2": {"images": [{"filename": "blue_00001_.png", "subfolder": "", "type": "output"}]}
    }
    shown = await ask(ann, "GET", "/view?filename=blue_00001_.png")
    assert shown.status_code == 200
    assert "hush" not in str(await ann.get(f"/runs/{claimed.run}/history"))
    assert "hush" not in str((await ask(ann, "GET", "/history")).json())


async def test_a_prompts_keys_may_not_fill_the_memory(ann: Person) -> None:
    wish = {"prompt": GRAPH, "extra_data": {"api_key_comfy_org": "x" * MAX_SECRETS_BYTES}}
    refusal = await ask(ann, "POST", "/prompt", json=wish)
    assert (refusal.status_code, refusal.json()["error"]["type"]) == (400, "invalid_prompt")
    assert await queue(ann) == ([], [])


async def test_a_log_in_of_another_service_is_in_no_table_and_no_file(
    served: Whole, ann: Person, hand: ByHand, caplog: pytest.LogCaptureFixture
) -> None:
    """What it was sent beside is: so it would be found."""
    token, key, beside = (f"{word}-{uuid4().hex}" for word in ("token", "key", "beside"))
    secrets = {"auth_token_comfy_org": token, "api_key_comfy_org": key}
    with caplog.at_level(logging.DEBUG):
        id = await prompt(ann, client_id=beside, extra_data=secrets | {"extra_pnginfo": {"a": 1}})
        claimed = await hand.claim(await run_of(ann, id))
        told = msgspec.json.decode(zlib.decompress(claimed.extra or b""))
        assert (told["auth_token_comfy_org"], told["api_key_comfy_org"]) == (token, key)
        await hand.start(claimed)
        await finish(hand, claimed)
        assert (await ask(ann, "GET", f"/history/{id}")).json()
    assert await asyncio.to_thread(tables_with, served.database.url, beside)
    for secret in (token, key):
        assert await asyncio.to_thread(tables_with, served.database.url, secret) == []
        files = [path for path in served.settings.data.parent.rglob("*") if path.is_file()]
        assert files
        assert [path for path in files if secret.encode() in path.read_bytes()] == []
        assert secret not in caplog.text


def tables_with(url: str, text: str) -> list[str]:
    """Those of the database in which it stands, as text or as bytes."""
    found = []
    with psycopg.connect(url, autocommit=True) as connection:
        named = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN"
            " ('pg_catalog', 'information_schema')"
        ).fetchall()
        for (table,) in named:
            counted = f"SELECT FROM {table} AS row WHERE row::text LIKE ANY (%s) LIMIT 1"
            likes = [f"%{text}%", f"%{text.encode().hex()}%"]
            if connection.execute(counted.encode(), (likes,)).fetchall():
                found.append(table)
    return found


async def test_nobody_sees_or_stops_another_accounts_prompts(ann: Person, bob: Person, hand: ByHand) -> None:
    same = {"prompt_id": "p", "client_id": "c"}
    await prompt(ann, **same)
    claimed = await hand.claim(await run_of(ann, "p"))
    await hand.start(claimed)
    waiting = await prompt(ann)
    for path in ("/history/p", f"/history/{claimed.run}", "/history"):
        assert (await ask(bob, "GET", path)).json() == {}
    assert (await ask(bob, "GET", "/jobs")).json()["jobs"] == []
    assert (await ask(bob, "GET", f"/jobs/{waiting}")).status_code == 404
    assert (await ask(bob, "POST", f"/jobs/{waiting}/cancel")).status_code == 404
    for path, body in (
        ("/interrupt", {}),
        ("/interrupt", {"prompt_id": "p"}),
        ("/queue", {"clear": True}),
        ("/queue", {"delete": [waiting, "p"]}),
        ("/history", {"clear": True}),
    ):
        assert (await ask(bob, "POST", path, json=body)).status_code == 200
    assert await prompt(bob, **same) == "p"
    assert await queue(ann) == (["p"], [waiting])
    await ask(ann, "POST", "/queue", json={"delete": ["p", waiting, "unknown"]})
    assert await queue(ann) == (["p"], [])
    await ask(ann, "POST", "/interrupt")
    assert await queue(ann) == ([], [])
    assert await queue(bob) == ([], ["p"])
    messages = (await ask(ann, "GET", "/history/p")).json()["p"]["status"]["messages"]
    assert messages[-1][0] == "execution_interrupted"
    await ask(bob, "POST", "/queue", json={"clear": True})


async def test_jobs_are_paged_and_history_can_be_cleared(ann: Person, hand: ByHand) -> None:
    ids = [await prompt(ann) for _ in range(3)]
    claimed = await hand.claim(str((await ann.get("/runs"))["items"][-1]["id"]))
    await hand.start(claimed)
    await finish(hand, claimed)
    everything = (await ask(ann, "GET", "/jobs")).json()
    assert [each["id"] for each in everything["jobs"]] == [ids[2], ids[1], ids[0]]
    page = (await ask(ann, "GET", "/jobs?limit=1&offset=1&status=pending")).json()
    assert [each["id"] for each in page["jobs"]] == [ids[1]] or page["jobs"][0]["id"] in ids[1:]
    assert page["pagination"] == {"offset": 1, "limit": 1, "total": 2, "has_more": False}
    assert (await ask(ann, "GET", "/jobs?status=nonsense")).status_code == 400
    assert (await ask(ann, "GET", "/history?max_items=abc")).status_code == 400
    done = (await ask(ann, "GET", f"/jobs/{ids[0]}")).json()
    assert done["workflow"]["prompt"] == GRAPH
    assert done["outputs"]["2"]["images"][0]["filename"] == "blue_00001_.png"
    assert list((await ask(ann, "GET", "/history?max_items=5")).json()) == [ids[0]]
    assert (await ask(ann, "POST", "/jobs/cancel", json={"job_ids": ids})).json() == {"cancelled": ids[1:]}
    await ask(ann, "POST", "/history", json={"clear": True})
    assert (await ask(ann, "GET", "/history")).json() == {}
    assert (await ask(ann, "GET", f"/history/{ids[0]}")).json() == {}
    assert (await ask(ann, "GET", "/view?filename=blue_00001_.png")).status_code == 200


async def test_priority_is_within_the_account(ann: Person) -> None:
    for number, wanted in (({"front": True}, 10), ({"number": -1}, 8), ({"number": 3}, 5)):
        await prompt(ann, **number)
        assert (await ann.get("/runs"))["items"][0]["priority"] == wanted
    numbers = [each[0] for each in (await ask(ann, "GET", "/queue")).json()["queue_pending"]]
    assert numbers == [-1, -1, 3]  # who is in front is shown in front
    await ask(ann, "POST", "/queue", json={"clear": True})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"prompt": null}',
        b'{"prompt": []}',
        b'{"prompt": {}}',
        b'{"prompt": {"1": 5}}',
        b'{"prompt": {"1": {"class_type": "SaveImage"}}}',
        b'{"prompt": {"1": {"class_type": 5, "inputs": {}}}}',
        b'{"prompt": {"1": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}}}',
        b'{"prompt": {"1": {"class_type": "A\\u0000", "inputs": {}}}}',
        b'{"prompt": {"1": {"class_type": "A", "inputs": {}}}, "number": "x"}',
        b'{"prompt": {"1": {"class_type": "A", "inputs": {}}}, "extra_data": 5}',
        b'{"prompt": {"1": {"class_type": "A", "inputs": {}}}, "prompt_id": "' + b"x" * 300 + b'"}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
async def test_nonsense_is_refused_in_comfyuis_shape_and_nothing_waits(ann: Person, body: bytes) -> None:
    answer = await ask(ann, "POST", "/prompt", content=body)
    assert answer.status_code == 400, answer.text
    assert {"error", "node_errors"} <= answer.json().keys()
    assert {"type", "message", "details", "extra_info"} <= answer.json()["error"].keys()
    assert await queue(ann) == ([], [])


async def test_too_much_is_refused(ann: Person) -> None:
    answer = await ask(ann, "POST", "/prompt", content=b" " * (10 * 1024 * 1024))
    assert answer.status_code == 413
    assert (await ask(ann, "POST", "/queue", content=b" " * (2 * 1024 * 1024))).status_code == 413


async def test_a_client_hears_of_its_prompts_and_the_same_name_elsewhere_hears_nothing(
    served: Whole, ann: Person, bob: Person, hand: ByHand
) -> None:
    async with (
        socket(served, ann, "c") as hers,
        socket(served, bob, "c") as his,
        socket(served, ann) as other,
    ):
        assert json.loads(await hers.recv())["data"]["sid"] == "c"
        assert len(json.loads(await other.recv())["data"]["sid"]) == 32
        await his.recv()
        await prompt(ann, client_id="c")
        claimed = await hand.claim(await run_of(ann, ""))
        await hand.start(claimed)
        nodes = tuple(msgspec.Raw((NODE % (each, each)).encode()) for each in ("1", "2"))
        told = NodesTold(run=claimed.run, epoch=claimed.epoch, messages=nodes)
        await hand.link.nodes_told(claimed.owner, told)
        heard = await hear(hers, "executing 2")
        await hand.link.preview(claimed.owner, claimed.run, b"picture", "image/jpeg", "2")
        assert await hers.recv() == b"\0\0\0\1\0\0\0\1picture"
        await finish(hand, claimed)
        heard += await hear(hers)
        assert heard == [
            *("status", "execution_start", "progress_state", "executing 1"),
            *(
                "progress_state",
                "progress_state",
                "executing 2",
                "execution_cached",
                "executed 2",
                "progress_state",
                "execution_success",
                "status",
            ),
            "executing None",
        ]
        assert (await ask(ann, "GET", "/history")).json() != {}
        assert [await hear(other, "status") for _ in range(2)] == [["status"], ["status"]]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(his.recv(), 0.1)


async def test_who_comes_back_goes_on_hearing(served: Whole, ann: Person, hand: ByHand) -> None:
    """Also while the older line of the same name is still open, and after it has closed."""
    async with socket(served, ann, "c") as older:
        await older.recv()
        await prompt(ann, client_id="c")
        claimed = await hand.claim(await run_of(ann, ""))
        await hand.start(claimed)
        node = (msgspec.Raw((NODE % ("1", "1")).encode()),)
        await hand.link.nodes_told(
            claimed.owner, NodesTold(run=claimed.run, epoch=claimed.epoch, messages=node)
        )
        await hear(older, "executing 1")
        async with socket(served, ann, "c") as newer:
            assert await hear(newer, "executing 1") == ["status", "executing 1"]
            await older.close()
            await finish(hand, claimed)
            heard = await hear(newer)
            assert heard[-3:] == ["execution_success", "status", "executing None"]


async def test_strangers_get_no_socket(served: Whole, nobody: Person) -> None:
    url = served.url.replace("http:", "ws:")
    for path in ("/comfy/ws", "/k/cpk_wrong/comfy/ws", "/comfy/other", "/comfy/api/ws?clientId=a"):
        with pytest.raises(InvalidStatus):
            async with connect(url + path):
                pass
    for path in ("/comfy/queue", "/comfy/api/history", f"/k/{uuid4()}/comfy/queue"):
        assert (await nobody.http.get(path)).status_code == 401


async def test_a_key_opens_what_it_is_for(served: Whole, ann: Person, nobody: Person) -> None:
    reading = (await ann.post("/api-keys", {"name": "reader", "scopes": ["read"]}))["key"]
    assert (await nobody.http.get(f"/k/{reading}/comfy/queue")).status_code == 200
    assert (await nobody.http.get("/comfy/queue", headers={"X-API-Key": reading})).status_code == 200
    assert (await nobody.http.get("/comfy/queue", auth=("anybody", reading))).status_code == 200
    assert (await nobody.http.post(f"/k/{reading}/comfy/prompt", json={})).status_code == 403
