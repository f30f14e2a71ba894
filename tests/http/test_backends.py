"""Backends at the door: what all see, what administrators do, and somebody's own."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.imaging.thumbnails import PillowImaging
from adapters.nats.executor_link import NatsDispatchLink
from adapters.objects.claim_objects import HttpClaimObjects
from adapters.outbound.guard import Guard
from adapters.outbound.transport import KeptTransport
from adapters.spool.disk import DiskSpool
from infra.lines import Ways, line
from infra.wiring import nats
from services.execution.executor import Executor
from services.execution.settings import ExecutorSettings
from tests.cloud.runpod import ENDPOINT, KEY, runpod
from tests.http.administrators import administrator
from tests.http.person import PARAMETERS, Person, joined
from tests.http.problems import refused
from tests.http.whole import Whole, whole
from tests.sandbox.process import SandboxProcess, sandbox
from tests.servers import copied, running_nats

SECRET = "s3cret-t0ken-of-the-door"
PATIENCE_S = 20.0
QUICK = ExecutorSettings(beat_s=0.2, claim_poll_s=0.1, look_s=0.2, health_s=0.5, retry_s=0.2, drain_s=0.2)


@asynccontextmanager
async def executing(
    served: Whole, folder: Path, name: str = "gpu-1", *, private: bool = False
) -> AsyncIterator[None]:
    """A real executor that drives nothing but what it is ordered to drive."""
    transport, imaging, spool = KeptTransport(), PillowImaging(), DiskSpool(folder / name)
    guard = Guard(private=private)
    guarded = KeptTransport(resolve=guard)

    ways = Ways(transport, guarded, guard)
    async with nats(name, served.nats.url_of(name), inbox_prefix=f"_INBOX_{name}") as connection:
        link = NatsDispatchLink(connection, name)
        await link.listen()
        work = Executor(
            name=name,
            backends=[],
            link=link,
            objects=HttpClaimObjects(served.url, transport),
            imaging=imaging,
            spool=spool,
            settings=QUICK,
            connect=lambda order: line(order, ways),
        )
        stop = asyncio.Event()
        task = asyncio.create_task(work.run(stop))
        try:
            yield
        finally:
            stop.set()
            await task
            await transport.aclose()
            await guarded.aclose()
            imaging.close()
            spool.close()
            guard.close()


@pytest.fixture
async def comfyui() -> AsyncIterator[SandboxProcess]:
    async with sandbox() as process:
        yield process


@pytest.fixture
async def root(own: Whole) -> AsyncIterator[Person]:
    async with administrator(own) as person:
        yield person


async def until(person: Person, path: str, true: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = await person.ask("GET", path)
        if answer.status_code == 200 and true(answer.json()):
            return answer.json()
        await asyncio.sleep(0.05)
    raise AssertionError(f"{path}: {answer.text}")


async def test_a_backend_is_registered_runs_something_is_drained_and_removed(
    own: Whole, root: Person, comfyui: SandboxProcess, tmp_path: Path
) -> None:
    async with executing(own, tmp_path):
        waiting = await root.run(await root.workflow())
        asked = {"name": "late", "url": comfyui.url, "slots": 1, "reason": "A new machine."}
        await root.post("/admin/backends", asked)
        refused(await root.ask("POST", "/admin/backends", json=asked), 409)
        shown = await until(root, "/backends/late", lambda row: row["live"] and row["node_classes"])
        assert (shown["pool"], shown["executor"], shown["checkpoints"]) == ("shared", "gpu-1", 1)
        await until(root, f"/runs/{waiting}", lambda run: run["status"] == "succeeded")

        await root.post("/admin/backends/late/drain", {"reason": "A new driver."})
        assert (await root.get("/backends/late"))["draining"]
        left = await root.run(await root.workflow())
        told = await root.get(f"/runs/{left}")
        assert told["waiting_for"]
        await root.post("/admin/backends/late/resume", {"reason": "It is in."})
        await until(root, f"/runs/{left}", lambda run: run["status"] == "succeeded")

        gone = await root.ask("DELETE", "/admin/backends/late", params={"reason": "Sold."})
        assert gone.status_code == 202
        refused(await root.ask("GET", "/backends/late"), 404)
        refused(await root.ask("POST", "/admin/backends/late/drain", json={"reason": "why"}), 404)


async def test_an_endpoint_in_the_cloud_is_registered_runs_something_and_is_removed(
    own: Whole, root: Person, comfyui: SandboxProcess, tmp_path: Path
) -> None:
    async with runpod(comfyui.url) as cloud, executing(own, tmp_path):
        waiting = await root.run(await root.workflow())
        asked = {"name": "cloud", "kind": "runpod", "endpoint": "other", "url": f"{cloud.url}/v2", "slots": 2}
        asked |= {"credentials": {"kind": "bearer", "token": KEY}, "reason": "For the weekend."}
        await root.post("/admin/backends", asked)
        changed = await root.ask("PATCH", "/admin/backends/cloud", json={"endpoint": ENDPOINT})
        assert changed.status_code == 200
        shown = await until(root, "/backends/cloud", lambda row: row["live"])
        assert (shown["comfyui_version"], shown["slots"]) == ("RunPod serverless", 2)
        await until(root, f"/runs/{waiting}", lambda run: run["status"] == "succeeded")
        (told,) = (await root.get("/admin/backends"))["items"]
        assert (told["kind"], told["url"], told["credentials"]) == ("runpod", cloud.endpoint_url, "bearer")

        await root.post("/admin/backends/cloud/drain", {"reason": "It is too dear."})
        left = await root.run(await root.workflow())
        assert (await root.get(f"/runs/{left}"))["waiting_for"]
        await root.post("/admin/backends/cloud/resume", {"reason": "It is worth it."})
        await until(root, f"/runs/{left}", lambda run: run["status"] == "succeeded")
        gone = await root.ask("DELETE", "/admin/backends/cloud", params={"reason": "It is over."})
        assert gone.status_code == 202
        assert cloud.asked["run"] == 2
    with psycopg.connect(own.database.url) as connection:
        stored = connection.execute("SELECT convert_from(state, 'UTF8') FROM log.events").fetchall()
        assert KEY not in str(stored)
        assert connection.execute("SELECT FROM work.backend_sealed").fetchall() == []


async def test_credentials_are_never_shown(own: Whole, root: Person) -> None:
    for number, credentials in enumerate(
        (
            {"kind": "bearer", "token": SECRET},
            {"kind": "basic", "user": "ann", "password": SECRET},
            {"kind": "header", "name": "X-Door", "value": SECRET},
        )
    ):
        asked = {"name": f"gpu-{number}", "url": "https://gpu.example.org", "credentials": credentials}
        answer = await root.ask("POST", "/admin/backends", json=asked)
        assert (answer.status_code, SECRET in answer.text) == (201, False)
    shown = (await root.ask("GET", "/admin/backends")).json()["items"]
    assert [each["credentials"] for each in shown] == ["bearer", "basic", "x-door"]
    with psycopg.connect(own.database.url) as connection:
        for table in ("log.events", "work.backend_sealed", "work.backends"):
            stored = connection.execute(f"SELECT * FROM {table}").fetchall()  # type: ignore[call-overload]
            assert stored or table == "work.backends"
            assert SECRET not in str(stored)
            assert SECRET.encode() not in b"".join(
                bytes(value) for row in stored for value in row if isinstance(value, bytes)
            )


async def test_bad_wishes_are_refused_by_name(own: Whole, root: Person) -> None:
    good = {"name": "gpu-1", "url": "https://gpu.example.org"}
    for bad, field in (
        ({"name": "a b"}, "name"),
        ({"name": "own-me"}, "name"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "https://u:p@gpu.example.org"}, "url"),
        ({"pool": ""}, "pool"),
        ({"executor": "x/y"}, "executor"),
        ({"slots": 65}, "slots"),
        ({"credentials": {"kind": "bearer", "token": "a\nb"}}, "credentials.token"),
        ({"credentials": {"kind": "magic"}}, "credentials.kind"),
        ({"secret": 1}, "secret"),
    ):
        answer = await root.ask("POST", "/admin/backends", json=good | bad)
        errors = refused(answer, 422)["errors"]
        assert [each["field"] for each in errors] == [field]
    refused(await root.ask("DELETE", "/admin/backends/gpu-1", params={"reason": "why"}), 404)
    refused(await root.ask("PATCH", "/admin/backends/gpu-1", json={"slots": 1}), 404)


async def test_ones_own_backend_is_tried_and_nobody_elses(own: Whole, root: Person, tmp_path: Path) -> None:
    mine = "/accounts/me/backend"
    refused(await root.ask("GET", mine), 404)
    refused(await root.ask("PUT", mine, json={"url": "http://127.0.0.1:8188"}), 422)
    async with executing(own, tmp_path):
        told = await root.ask("PUT", mine, json={"url": "http://gpu.invalid:8188"})
        assert told.status_code == 200
        assert told.json()["reachable"] is False
        assert told.json()["reason"] == "The backend cannot be reached."
    name = told.json()["name"]
    assert (await root.get(f"/backends/{name}"))["url"] == "http://gpu.invalid:8188"
    assert name in [each["name"] for each in (await root.get("/backends"))["items"]]
    async with administrator(own) as other:
        refused(await other.ask("GET", f"/backends/{name}"), 404)
        assert (await other.get("/backends"))["items"] == []
        assert name in [each["name"] for each in (await other.get("/admin/backends"))["items"]]
    assert (await root.ask("DELETE", mine)).status_code == 202
    refused(await root.ask("GET", mine), 404)


async def test_ones_own_backend_is_reached_where_the_administrator_allows_it(
    postgres_url: str, database_template: str, tmp_path: Path, comfyui: SandboxProcess
) -> None:
    with (
        copied(postgres_url, database_template) as database,
        running_nats(tmp_path / "nats") as server,
        whole(database, server, tmp_path / "data", backend_private_addresses=True) as running,
    ):
        async with (
            joined(running) as ann,
            joined(running) as bob,
            executing(running, tmp_path, private=True),
        ):
            told = await ann.ask("PUT", "/accounts/me/backend", json={"url": comfyui.url})
            assert told.json()["reachable"] is True
            assert told.json()["comfyui_version"]
            await until(ann, f"/backends/{told.json()['name']}", lambda row: row["live"])
            hers, his = await ann.run(await ann.workflow()), await bob.run(await bob.workflow())
            await until(ann, f"/runs/{hers}", lambda run: run["status"] == "succeeded")
            assert (await bob.get(f"/runs/{his}"))["status"] == "queued"


async def test_a_run_that_no_backend_takes_says_why(
    own: Whole, root: Person, comfyui: SandboxProcess, tmp_path: Path
) -> None:
    graph = {"1": {"class_type": "NobodyHasIt", "inputs": {}}}
    waiting = await root.run(await root.workflow(graph=graph))  # nobody is there: it is taken in, and waits
    assert "No ComfyUI" in (await root.get(f"/runs/{waiting}"))["waiting_for"]
    async with executing(own, tmp_path):
        await root.post("/admin/backends", {"name": "gpu-9", "url": comfyui.url})
        await until(root, "/backends/gpu-9", lambda row: row["live"] and row["node_classes"])
        found = await until(root, "/models?limit=1", lambda page: page["items"])  # known to a second
        assert found["items"][0]["backends"] == ["gpu-9"]
        page = await root.get("/models", params={"type": "checkpoints"})
        (model,) = page["items"]
        assert (model["type"], model["name"]) == ("checkpoints", "sandbox.safetensors")
        assert (await root.get("/models", params={"cursor": "checkpoints/zzz", "type": "checkpoints"}))[
            "items"
        ] == []
        refused(await root.ask("GET", "/models", params={"limit": 0}), 422)
        await _kept(own, root, model["name"])
        told = await until(root, f"/runs/{waiting}", lambda run: "lacks" in run.get("waiting_for", ""))
        assert told["waiting_for"] == "gpu-9: It lacks the node NobodyHasIt."
        answer = await root.ask("POST", f"/workflows/{await root.workflow(graph=graph)}/runs", json={})
        (error,) = refused(answer, 422)["errors"]
        assert error == {"field": "graph.1", "reason": "The node NobodyHasIt is on no backend."}
        after = await root.run(await root.workflow())
        await until(root, f"/runs/{after}", lambda run: run["status"] == "succeeded")
        assert (await root.get(f"/runs/{waiting}"))["status"] == "queued"


async def _kept(own: Whole, root: Person, name: str) -> None:
    """What a backend has is not for everybody, where an administrator says so."""
    body = {"type": "checkpoints", "name": name, "audience": {"roles": ["admin"]}, "reason": "A trial."}
    made = await root.post("/admin/models", body)
    async with joined(own) as member:
        assert (await member.get("/models", params={"type": "checkpoints"}))["items"] == []
        kept = refused(await member.ask("POST", "/generate", json=PARAMETERS), 422)
        other = refused(await member.ask("POST", "/generate", json=PARAMETERS | {"checkpoint": "none"}), 422)
        assert str(kept).replace(name, "none") == str(other)
        shown = (await root.get("/models", params={"type": "checkpoints"}))["items"]
        assert [(each["name"], each["backends"]) for each in shown] == [(name, ["gpu-9"])]
        await root.ask("DELETE", f"/admin/models/{made['id']}", params={"reason": "It is over."})
        assert (await member.get("/models", params={"type": "checkpoints"}))["items"] == shown
