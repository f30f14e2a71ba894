"""What is somebody's is nobody else's business, by any route there is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.http.executor import by_hand
from tests.http.log import deeds
from tests.http.person import FORM, GRAPH, PARAMETERS, Person, joined, png
from tests.http.problems import refused
from tests.http.routes import table
from tests.http.test_uploads import begun, fresh, sent
from tests.http.test_workflows import OTHER
from tests.http.whole import Whole, another_api

BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/admin/parked/{name:str}/{position:int}/skip"): {"reason": "because"},
    ("POST", "/admin/projections/{name:str}/skipped/{position:int}/withdraw"): {"reason": "because"},
    ("PATCH", "/workflows/{workflow:uuid}"): {"name": "mine now"},
    ("POST", "/admin/dead-letters/{run:uuid}/requeue"): {"reason": "because"},
    ("POST", "/admin/queue/pause"): {"reason": "because"},
    ("POST", "/queue/clean"): {"reason": "because", "older_than_s": 0},
    ("POST", "/admin/queue/resume"): {"reason": "because"},
    ("PUT", "/admin/accounts/{account:uuid}/limits"): {"reason": "because"},
    ("PATCH", "/admin/accounts/{account:uuid}"): {"reason": "because", "role": "admin"},
    ("PUT", "/admin/pools/{name:str}"): {"reason": "because"},
    ("PUT", "/admin/accounts/{account:uuid}/pool"): {"pool": None, "reason": "because"},
    ("POST", "/workflows/{workflow:uuid}/versions"): {"graph": GRAPH},
    ("POST", "/workflows/{workflow:uuid}/fork"): {},
    ("PUT", "/workflows/{workflow:uuid}/thumbnail"): {"output": {"run": str(uuid4()), "node": "2"}},
    ("PUT", "/workflows/{workflow:uuid}/environments/{name:str}"): {"version": 1},
    ("POST", "/workflows/{workflow:uuid}/runs"): {},
    ("POST", "/templates/{template:str}/runs"): {},
    ("PATCH", "/templates/{template:uuid}"): {"public": True},
    ("PUT", "/presets/{preset:uuid}"): {"name": "mine now"},
    ("POST", "/templates/{template:uuid}/versions"): {"workflow": str(uuid4()), "form": FORM},
    ("POST", "/runs/{run:uuid}/rerun"): {},
    ("PATCH", "/webhooks/{webhook:uuid}"): {"url": "https://example.org/mine"},
    ("POST", "/webhooks/{webhook:uuid}/replay"): {"after": 0},
    ("PATCH", "/loras/{lora:uuid}"): {"name": "mine now"},
    ("POST", "/workflows/{workflow:uuid}/comments"): {"text": "mine"},
    ("POST", "/gallery/outputs/{output:uuid}/comments"): {"text": "mine"},
    ("PATCH", "/comments/{comment:uuid}"): {"text": "mine now"},
    **{
        ("POST", f"/admin/reports/{{kind:str}}/{{subject:uuid}}/{deed}"): {"reason": "because"}
        for deed in ("dismiss", "hide", "restore")
    },
    ("POST", "/gallery/outputs"): {"run": str(uuid4()), "node": "9", "name": "mine"},
    ("POST", "/admin/reports/{kind:str}/{subject:uuid}/mark"): {"sensitive": True, "reason": "because"},
    ("PUT", "/admin/words"): {"blocked": [], "reason": "because"},
    ("PATCH", "/collections/{collection:uuid}"): {"name": "mine now"},
    ("PUT", "/collections/{collection:uuid}/order"): {"members": []},
    ("POST", "/shares"): {"kind": "workflow", "id": str(uuid4())},
    ("POST", "/reports"): {"kind": "workflow", "id": str(uuid4()), "reason": "spam"},
    ("PUT", "/admin/gate"): {"reason": "because"},
    ("POST", "/admin/announcements"): {"text": "Tomorrow we are away.", "reason": "because"},
    ("PATCH", "/admin/announcements/{announcement:uuid}"): {"reason": "because"},
    ("POST", "/admin/models"): {"type": "vae", "name": "mine", "reason": "because"},
    ("PATCH", "/admin/models/{model:uuid}"): {"reason": "because"},
    ("POST", "/admin/backends"): {"name": "gpu-9", "url": "https://gpu.example.org"},
    ("PATCH", "/admin/backends/{name:str}"): {"slots": 1},
    ("POST", "/admin/backends/{name:str}/drain"): {"reason": "because"},
    ("POST", "/admin/backends/{name:str}/resume"): {"reason": "because"},
    ("PUT", "/accounts/me/backend"): {"url": "https://gpu.example.org"},
    ("PUT", "/accounts/me/rendition"): {},
    ("PUT", "/accounts/me/retention"): {},
    ("POST", "/outputs/bulk"): {"act": "delete", "outputs": [str(uuid4())]},
    ("POST", "/outputs/zip"): {"outputs": [str(uuid4())]},
}
BY_TOKEN = {
    (method, path)
    for method in ("GET", "PUT")
    for path in ("/objects/{digest:str}", "/objects/{digest:str}/place")
} | {("PUT", "/objects")}
"""Opened by a claim's token only: an account's is none."""
OWN = {
    ("DELETE", "/auth/oidc/link"),
    ("GET", "/auth/oidc"),
    ("GET", "/auth/oidc/callback"),
    ("GET", "/auth/providers"),
    ("POST", "/auth/oidc/code"),
    ("POST", "/auth/oidc/link"),
    ("GET", "/accounts/me"),
    ("PATCH", "/accounts/me"),
    ("PUT", "/accounts/me/avatar"),
    ("DELETE", "/accounts/me/avatar"),
    ("DELETE", "/accounts/me"),
    ("DELETE", "/accounts/me/backend"),
    ("GET", "/accounts/me/backend"),
    ("PUT", "/accounts/me/backend"),
    ("GET", "/accounts/me/rendition"),
    ("PUT", "/accounts/me/rendition"),
    ("GET", "/accounts/me/retention"),
    ("GET", "/accounts/me/usage"),
    ("PUT", "/accounts/me/retention"),
    ("DELETE", "/accounts/me/retention"),
    ("GET", "/backends"),
    ("GET", "/models"),
    ("GET", "/notifications"),
    ("POST", "/notifications/read"),
    ("PUT", "/notifications/mail"),
    ("POST", "/reports"),
    ("GET", "/shares"),
    ("POST", "/shares"),
    ("GET", "/gallery/mixed"),
    ("GET", "/gallery/outputs"),
    ("POST", "/gallery/outputs"),
    ("GET", "/collections"),
    ("POST", "/collections"),
    ("GET", "/accounts/me/export"),
    ("GET", "/api-keys"),
    ("GET", "/auth/me"),
    ("GET", "/auth/sessions"),
    ("DELETE", "/auth/sessions"),
    ("GET", "/batches"),
    ("GET", "/events"),
    ("GET", "/feed"),
    ("GET", "/events/nats"),
    ("GET", "/announcements"),
    ("GET", "/gallery"),
    ("GET", "/gallery/tags"),
    ("GET", "/gallery/outputs/tags"),
    ("GET", "/queue/stats"),
    ("GET", "/inputs"),
    ("GET", "/loras"),
    ("GET", "/outputs"),
    ("POST", "/outputs/bulk"),
    ("POST", "/outputs/zip"),
    ("GET", "/runs"),
    ("GET", "/templates"),
    ("GET", "/presets"),
    ("GET", "/usage"),
    ("GET", "/webhooks"),
    ("GET", "/workflows"),
    ("GET", "/workflows/trash"),
    ("POST", "/accounts/me/export"),
    ("POST", "/api-keys"),
    ("POST", "/auth/email"),
    ("POST", "/auth/email/confirm"),
    ("POST", "/auth/email/confirmation"),
    ("DELETE", "/auth/totp"),
    ("POST", "/auth/password/forgotten"),
    ("POST", "/auth/password/reset"),
    ("POST", "/auth/totp"),
    ("POST", "/auth/totp/on"),
    ("POST", "/auth/login"),
    ("POST", "/auth/logout"),
    ("POST", "/auth/password"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/register"),
    ("POST", "/edit/inpaint"),
    ("POST", "/generate"),
    ("POST", "/generate/batch"),
    ("POST", "/generate/grid"),
    ("POST", "/generate/sync"),
    ("POST", "/inputs"),
    ("POST", "/runs"),
    ("POST", "/loras"),
    ("POST", "/workflows/import"),
    ("POST", "/loras/verify"),
    ("POST", "/templates"),
    ("POST", "/presets"),
    ("POST", "/uploads"),
    ("POST", "/webhooks"),
    ("POST", "/workflows"),
}
"""These name no thing of anybody; what they list is one's own, or for all."""
NO_PROVIDER = {("GET", "/auth/oidc"), ("GET", "/auth/oidc/callback")}
"""What is not there while no provider is set."""
OPEN = {
    ("GET", "/auth/providers"),
    ("POST", "/auth/oidc/code"),
    ("GET", "/accounts/{name:str}"),
    ("GET", "/avatars/{avatar:uuid}"),
    ("GET", "/announcements"),
    ("GET", "/exports/{export:uuid}"),
    ("GET", "/gallery"),
    ("GET", "/gallery/tags"),
    ("GET", "/gallery/outputs/tags"),
    ("GET", "/loras/{lora:uuid}"),
    ("GET", "/shared/{token:str}"),
    ("GET", "/collections/{collection:uuid}"),
    ("GET", "/accounts/{name:str}/collections"),
    ("GET", "/gallery/mixed"),
    ("GET", "/gallery/outputs"),
    ("GET", "/gallery/outputs/{output:uuid}"),
    ("GET", "/accounts/{name:str}/outputs"),
    ("GET", "/accounts/{name:str}/workflows"),
    ("GET", "/outputs/{run:uuid}/{digest:str}/{name:str}"),
    ("GET", "/workflows/{workflow:uuid}"),
    ("GET", "/workflows/{workflow:uuid}/comments"),
    ("GET", "/gallery/outputs/{output:uuid}/comments"),
    ("GET", "/workflows/{workflow:uuid}/export"),
    ("GET", "/workflows/{workflow:uuid}/forks"),
    ("GET", "/workflows/{workflow:uuid}/lineage"),
    ("GET", "/workflows/{workflow:uuid}/thumbnails/{digest:str}"),
    ("GET", "/workflows/{workflow:uuid}/versions"),
    ("GET", "/workflows/{workflow:uuid}/versions/{number:int}"),
    ("GET", "/workflows/{workflow:uuid}/versions/{number:int}/diff/{other:int}"),
    ("POST", "/auth/email/confirm"),
    ("POST", "/auth/login"),
    ("POST", "/auth/password/forgotten"),
    ("POST", "/auth/password/reset"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/register"),
}
"""Nobody need be logged in for these."""
ADMIN = {route for route in table() if route[1].startswith("/admin/")} | {
    ("POST", "/queue/clean"),
    ("GET", "/queue/clean/{position:int}"),
}
"""For administrators: nobody else learns more than that."""
NAMING = [route for route in table() if route not in OWN | BY_TOKEN | ADMIN]


class Things:
    """What ann has: a private workflow, one of its runs with an output, a webhook with a delivery."""

    def __init__(self, ann: Person, workflow: str, run: str, output: dict[str, Any], graph: str) -> None:
        self.ann, self.workflow, self.run, self.output, self.graph = ann, workflow, run, output, graph
        self.webhook = self.delivery = self.export = self.key = self.batch = self.input = ""
        self.lora = self.upload = self.session = self.template = self.preset = self.comment = self.share = ""
        self.collection = ""

    def path(self, route: str, **other: str) -> str:
        """The address of ann's thing, or of something else in its place."""
        for parameter, value in self.named(**other).items():
            route = route.replace(parameter, value)
        assert "{" not in route, f"{route}: say in `named` what the parameter stands for"
        return route

    def named(self, **other: str) -> dict[str, str]:
        """What each parameter of an address stands for."""
        return {
            "{workflow:uuid}": other.get("workflow", self.workflow),
            "{run:uuid}": other.get("run", self.run),
            "{export:uuid}": self.export,
            "{input:uuid}": other.get("workflow", self.input),
            "{batch:uuid}": other.get("workflow", self.batch),
            "{webhook:uuid}": other.get("workflow", self.webhook),
            "{key:uuid}": other.get("run", self.key),
            "{delivery:uuid}": other.get("run", self.delivery),
            "{comment:uuid}": other.get("workflow", self.comment),
            "{lora:uuid}": other.get("workflow", self.lora),
            "{upload:uuid}": other.get("run", self.upload),
            "{session:uuid}": other.get("run", self.session),
            "{collection:uuid}": other.get("run", self.collection),
            "{member:uuid}": other.get("workflow", self.workflow),
            "{share:uuid}": other.get("run", self.share),
            "{token:str}": other.get("run", self.share),
            "{notice:uuid}": other.get("run", self.comment),
            "{subject:uuid}": other.get("workflow", self.workflow),
            "{kind:str}": "workflow",
            "{number:int}": "1",
            "{other:int}": "1",
            "{position:int}": "1",
            "{avatar:uuid}": str(uuid4()),
            "{rebuild:uuid}": str(uuid4()),
            "{model:uuid}": str(uuid4()),
            "{announcement:uuid}": str(uuid4()),
            "{account:uuid}": other.get("account", self.ann.id),
            "{template:str}": other.get("workflow", self.template),
            "{preset:uuid}": other.get("workflow", self.preset),
            "{template:uuid}": other.get("workflow", self.template),
            "{output:uuid}": other.get("run", self.output["id"]),
            "{digest:str}": self.output["digest"],
            "{name:str}": self.output["name"],
        }


@pytest.fixture
async def things(served: Whole, ann: Person) -> AsyncIterator[Things]:
    async with belongings(served, ann) as things:
        yield things


@asynccontextmanager
async def belongings(served: Whole, ann: Person) -> AsyncIterator[Things]:
    workflow = await ann.workflow("A secret of ann's")
    run = await ann.run(workflow)
    async with by_hand(served) as hand:
        claimed = await hand.claim(run)
        await hand.store(claimed, b"ann's picture")
        while not (shown := await ann.get(f"/runs/{run}"))["outputs"]:
            assert shown["status"] in ("queued", "running")
        things = Things(ann, workflow, run, shown["outputs"][0], claimed.graph_digest)
        hook = {"url": "https://example.org/secret-of-ann", "active": False}
        things.webhook = (await ann.post("/webhooks", hook))["id"]
        things.delivery = (await ann.post(f"/webhooks/{things.webhook}/test"))["delivery"]
        things.key = (await ann.post("/api-keys", {"name": "ann's bot", "scopes": ["events"]}))["id"]
        things.batch = (await ann.post("/generate/batch", {"runs": [PARAMETERS]}))["id"]
        things.input = (await ann.upload(png()))["id"]
        things.lora = (await ann.ask("POST", "/loras", **sent(fresh()))).json()["id"]
        things.upload = (await begun(ann, 5_000, name="another")).rpartition("/")[2]
        said = await ann.post(f"/workflows/{workflow}/comments", {"text": "A note of ann's."})
        things.comment = said["id"]
        things.collection = (await ann.post("/collections", {"name": "Ann's list"}))["id"]
        link = await ann.post("/shares", {"kind": "workflow", "id": workflow})
        things.share = link["id"]
        things.session = (await ann.get("/auth/sessions"))["items"][0]["id"]
        things.template = await ann.template(workflow)
        things.preset = (await ann.post("/presets", {"name": "A character"}))["id"]
        things.export = (await ann.post("/accounts/me/export"))["id"]
        yield things
        await hand.fail(claimed)


async def test_a_stranger_finds_nothing_at_any_address(served: Whole, things: Things, bob: Person) -> None:
    before = deeds(served)
    for method, route in NAMING:
        for headers in ({}, {"Idempotency-Key": uuid4().hex}, {"Consistent-With": str(things.ann.seen)}):
            answer = await bob.ask(
                method, things.path(route), json=BODIES.get((method, route)), headers=headers
            )
            assert answer.status_code == 404, f"{method} {route} answers {answer.status_code}"
            problem = refused(answer, 404)
            unknown = await bob.ask(
                method,
                things.path(route, workflow=str(uuid4()), run=str(uuid4())),
                json=BODIES.get((method, route)),
            )
            assert unknown.json() == problem, f"{method} {route} tells what is there from what is not"
    for method, route in BY_TOKEN:
        refused(await bob.ask(method, things.path(route), content=b"x"), 401)
    assert deeds(served) == before


async def test_what_is_for_administrators_is_refused_to_all_others(
    served: Whole, things: Things, bob: Person
) -> None:
    before = deeds(served)
    for method, route in ADMIN:
        body = BODIES.get((method, route))
        unknown = things.path(route, workflow=str(uuid4()), run=str(uuid4()), account=str(uuid4()))
        told = refused(await bob.ask(method, things.path(route), json=body), 403)
        assert refused(await bob.ask(method, unknown, json=body), 403) == told
    assert deeds(served) == before


async def test_what_is_for_administrators_is_for_nobody_else(
    served: Whole, things: Things, ann: Person
) -> None:
    before = deeds(served)
    for method, route in ADMIN:
        refused(await ann.ask(method, things.path(route), json=BODIES.get((method, route))), 403)
    assert deeds(served) == before


async def test_what_a_stranger_lists_holds_nothing_of_others(things: Things, bob: Person) -> None:
    for path in (
        "/workflows",
        "/workflows/trash",
        "/runs",
        "/batches",
        "/outputs",
        "/inputs",
        "/gallery",
        "/auth/me",
        "/webhooks",
        "/loras",
        "/templates",
        "/presets",
    ):
        told = (await bob.ask("GET", path)).text
        for secret in (
            things.workflow,
            things.run,
            things.output["digest"],
            things.batch,
            things.input,
            things.lora,
            things.template,
            things.preset,
            things.ann.id,
            things.ann.name,
        ):
            assert secret not in told
    for asked in ({"workflow": things.workflow}, {"status": "running"}):
        page = await bob.get("/runs", params=asked)
        assert page["items"] == []


async def test_without_a_token_only_what_is_public_is_shown(
    served: Whole, things: Things, nobody: Person
) -> None:
    before = deeds(served)
    for method, route in table():
        answer = await nobody.ask(method, things.path(route), json=BODIES.get((method, route)))
        expected = 404 if (method, route) in NO_PROVIDER else 401
        if (method, route) in OPEN:
            expected = 404 if "{" in route else 400 if method == "POST" else 200
        assert answer.status_code == expected, f"{method} {route} answers {answer.status_code}"
    assert deeds(served) == before


async def test_an_id_of_another_kind_is_no_id(served: Whole, things: Things) -> None:
    """Nor does asking for it harm the thing it belongs to."""
    ann, before = things.ann, deeds(served)
    with psycopg.connect(served.database.url) as connection:
        others = "SELECT originator_id FROM log.events WHERE topic LIKE %s LIMIT 1"
        kinds = ("reservation.%", "backend.%")
        strange = [str(row[0]) for kind in kinds for row in connection.execute(others, (kind,)).fetchall()]
    assert len(strange) == 2
    for workflow, run in (
        (things.run, things.workflow),
        (ann.id, ann.id),
        *zip(strange, strange, strict=True),
    ):
        for method, route in NAMING:
            path = things.path(route, workflow=workflow, run=run)
            answer = await ann.ask(method, path, json=BODIES.get((method, route)))
            assert answer.status_code == 404, f"{method} {path} answers {answer.status_code}"
    assert deeds(served) == before
    await ann.ask("PATCH", f"/workflows/{things.workflow}", json={"name": "still mine"})
    assert (await ann.get(f"/workflows/{things.workflow}"))["name"] == "still mine"
    assert (await ann.get(f"/runs/{things.run}"))["status"] in ("queued", "running")
    assert (await ann.get("/auth/me"))["id"] == ann.id


async def test_a_public_workflow_is_for_all_to_see_and_for_its_owner_to_change(
    ann: Person, bob: Person, nobody: Person
) -> None:
    workflow = await ann.workflow(public=True)
    for person in (bob, nobody):
        for below in ("", "/versions", "/versions/1"):
            await person.get(f"/workflows/{workflow}{below}")
    for method, below, body in (
        ("PATCH", "", {"name": "bob's"}),
        ("DELETE", "", None),
        ("POST", "/versions", {"graph": OTHER}),
        ("GET", "/history", None),
    ):
        refused(await bob.ask(method, f"/workflows/{workflow}{below}", json=body), 404)
    await bob.run(workflow)


async def test_what_one_process_hides_no_other_process_runs(served: Whole, ann: Person, bob: Person) -> None:
    """Each process keeps the states it has seen; what another one wrote since must count all the same."""
    with another_api(served) as second:
        async with joined(second) as guest:
            workflow = await ann.workflow()
            refused(await guest.ask("POST", f"/workflows/{workflow}/runs"), 404)
            await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": True})
            run = await guest.run(workflow)  # published by the other process, private in this one's memory
            assert (await guest.get(f"/runs/{run}"))["workflow_version"] == 1
            await ann.post(f"/workflows/{workflow}/versions", {"graph": OTHER})
            run = await guest.run(workflow)  # the newest version is the one the other process saved
            assert (await guest.get(f"/runs/{run}"))["workflow_version"] == 2
            await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": False})
            refused(await guest.ask("POST", f"/workflows/{workflow}/runs"), 404)
            await ann.ask("PATCH", f"/workflows/{workflow}", json={"public": True})
            await guest.run(workflow)
            await ann.ask("DELETE", f"/workflows/{workflow}")
            refused(await guest.ask("POST", f"/workflows/{workflow}/runs"), 404)
            ann.http.base_url = second.url  # the other process knows the token, and what is cancelled
            mine = await ann.run(await ann.workflow())
            ann.http.base_url = served.url
            assert (await ann.post(f"/runs/{mine}/cancel"))["position"] > 0
            ann.http.base_url = second.url
            assert (await ann.post(f"/runs/{mine}/cancel"))["position"] == 0
            ann.http.base_url = served.url


def test_every_route_is_thought_of() -> None:
    """A new route belongs into one of the sets above, or names something that strangers must not find."""
    routes = set(table())
    assert routes >= OWN | OPEN | BY_TOKEN | ADMIN
    for _, route in NAMING:
        assert "{" in route, f"{route} names nothing: is it one's own, or for all?"
