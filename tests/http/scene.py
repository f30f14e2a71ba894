"""A place with so much of everything that every list has pages, and in which more comes, changes and goes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias
from uuid import uuid4

import psycopg

from infra.notifying import notifying
from tests.http.administrators import administrator
from tests.http.errands import drawn, errand, eventually
from tests.http.person import GRAPH, PARAMETERS, Person, joined, png
from tests.http.test_loras import put as put_lora
from tests.http.test_presets import MILAN
from tests.http.whole import Whole, beside
from tests.projections.ground import live_schema

Make: TypeAlias = Callable[[int], Awaitable[str]]
"""One more of a kind; its address where it can be deleted, else nothing."""

SPENT = "INSERT INTO {}.usage_days VALUES (%s, %s, 1, 1, 0, 0, 2.5, 0, 0)"
DELIVERY = """INSERT INTO work.webhook_deliveries (delivery, webhook, position, type)
    VALUES (%s, %s, %s, 'run.started.v1')"""
DEAD = """INSERT INTO work.queue (run, version, owner, state, rank, not_before, graph, timeout_s, position, failed_at,
    failure) VALUES (%s, 1, %s, 'dead', 0, now(), '', 60, 0, now(), '{"kind": "lost", "reason": "Gone."}')"""


class Scene:
    """Of Ann's, who administers the whole. `named`: what the parameters of an address stand for."""

    def __init__(self, whole: Whole, ann: Person, bob: Person, stack: AsyncExitStack) -> None:
        self.ann, self.bob = ann, bob
        self.named: dict[str, str] = {"name": ann.name}
        self._whole = whole
        self._stack = stack
        self._outputs: list[dict[str, Any]] = []
        self._made = 0
        self._gone: list[str] = []

    async def begin(self, most: int) -> None:
        """With room for so many of each kind."""
        ann = self.ann
        self.named["workflow"] = await ann.workflow("The first", public=True)
        self.named["template"] = await ann.template(self.named["workflow"])
        self.named["preset"] = (await ann.post("/presets", MILAN))["id"]
        self.named["collection"] = (await ann.post("/collections", {"name": "All", "public": True}))["id"]
        self.named["webhook"] = (await ann.post("/webhooks", {"url": "https://example.org/"}))["id"]
        self.named["run"] = run = await drawn(self._whole, ann, *(b"picture %d" % n for n in range(most)))

        async def over() -> bool:
            return bool((await ann.get(f"/runs/{run}"))["status"] == "succeeded")

        await eventually(over)
        self._outputs = (await ann.get(f"/runs/{run}"))["outputs"]

    async def more(self, times: int = 1) -> None:
        for _ in range(times):
            for make in _KINDS:
                if address := await make(self, self._made):
                    self._gone.append(address)
            self._made += 1

    async def change(self) -> None:
        """What was made last but one is called otherwise."""
        for address in self._gone[-2 * len(_KINDS) : -len(_KINDS)]:
            if address.startswith(("/workflows/", "/collections/", "/loras/")):
                await self.ann.ask("PATCH", address, json={"name": f"Changed {uuid4().hex[:8]}"})

    async def fewer(self) -> None:
        """What was made last is deleted."""
        for address in self._gone[-len(_KINDS) :]:
            answer = await self.ann.ask("DELETE", address)
            assert answer.is_success, f"{address}: {answer.text}"
        del self._gone[-len(_KINDS) :]

    async def heard(self, notices: int) -> None:
        async def told() -> bool:
            return bool((await self.ann.get("/notifications"))["unread"] >= notices)

        await eventually(told)

    async def _workflow(self, n: int) -> str:
        tags = [f"tag-{n}", "all"]
        workflow = await self.ann.workflow(f"Number {n}", public=True, tags=tags)
        await self.ann.ask("PUT", f"/collections/{self.named['collection']}/members/workflow/{workflow}")
        await self.bob.post("/reports", {"kind": "workflow", "id": workflow, "reason": "spam"})
        return f"/workflows/{workflow}"

    async def _fork(self, n: int) -> str:
        made = await self.ann.post(f"/workflows/{self.named['workflow']}/fork", {"name": f"Fork {n}"})
        return f"/workflows/{made['id']}"

    async def _trash(self, n: int) -> str:
        await self.ann.ask("DELETE", f"/workflows/{await self.ann.workflow(f'Not wanted {n}')}")
        return ""

    async def _version(self, n: int) -> str:
        graph = GRAPH | {"1": {"class_type": "EmptyImage", "inputs": GRAPH["1"]["inputs"] | {"color": n}}}
        await self.ann.post(f"/workflows/{self.named['workflow']}/versions", {"graph": graph})
        for method, place, body in (
            ("PATCH", f"/templates/{self.named['template']}", {"public": n % 2 == 0}),
            ("PUT", f"/presets/{self.named['preset']}", MILAN | {"description": f"Number {n}"}),
        ):
            answer = await self.ann.ask(method, place, json=body)
            assert answer.is_success, answer.text
        return ""

    async def _comment(self, n: int) -> str:
        said = await self.bob.post(
            f"/workflows/{self.named['workflow']}/comments", {"text": f"{n}, @{self.ann.name}"}
        )
        if output := self.named.get("output"):
            await self.bob.post(f"/gallery/outputs/{output}/comments", {"text": f"Number {n}"})
        mine = await self.ann.post(f"/workflows/{self.named['workflow']}/comments", {"text": f"Mine, {n}"})
        assert said["position"]
        return f"/comments/{mine['id']}"

    async def _output(self, n: int) -> str:
        output = self._outputs[n]
        place = {"run": self.named["run"], "node": output["node"], "index": output["index"]}
        words = {"name": f"Output {n}", "tags": ["all", f"tag-{n}"]}
        shown = await self.ann.post("/gallery/outputs", place | words)
        self.named.setdefault("output", shown["id"])
        return f"/gallery/outputs/{shown['id']}" if n else ""

    async def _person(self, n: int) -> str:
        person = await self._stack.enter_async_context(joined(self._whole))
        for who, whom in ((person, self.ann), (self.ann, person)):
            assert (await who.ask("PUT", f"/accounts/{whom.name}/follow")).is_success
        return ""

    async def _run(self, n: int) -> str:
        await self.ann.run(self.named["workflow"])
        return ""

    async def _batch(self, n: int) -> str:
        await self.ann.post("/generate/batch", {"runs": [PARAMETERS]})
        return ""

    async def _share(self, n: int) -> str:
        made = await self.ann.post("/shares", {"kind": "workflow", "id": self.named["workflow"]})
        return f"/shares/{made['id']}"

    async def _collection(self, n: int) -> str:
        return f"/collections/{(await self.ann.post('/collections', {'name': f'List {n}', 'public': True}))['id']}"

    async def _template(self, n: int) -> str:
        return f"/templates/{await self.ann.template(self.named['workflow'])}"

    async def _preset(self, n: int) -> str:
        return f"/presets/{(await self.ann.post('/presets', MILAN | {'name': f'Preset {n}'}))['id']}"

    async def _input(self, n: int) -> str:
        return f"/inputs/{(await self.ann.upload(png(color=(n, 1, 1))))['id']}"

    async def _lora(self, n: int) -> str:
        return f"/loras/{await put_lora(self.ann, f'lora{n}')}"

    async def _model(self, n: int) -> str:
        asked = {"type": "vae", "name": f"model-{n:03}.safetensors", "reason": "Asked for."}
        await self.ann.post("/admin/models", asked)
        return ""

    async def _spent(self, n: int) -> str:
        """What comes with days and with mishaps: usage, runs that no retry has helped, events sent to a webhook."""
        with psycopg.connect(self._whole.database.url) as connection:
            usage = SPENT.format(live_schema(connection, "usage"))
            connection.execute(usage.encode(), (self.ann.id, f"2026-01-{n + 1:02}"))
            connection.execute(usage.encode(), (uuid4(), "2026-01-01"))
            connection.execute(DEAD, (uuid4(), self.ann.id))
            connection.execute(DELIVERY, (uuid4(), self.named["webhook"], n))
        return ""


_KINDS: tuple[Callable[[Scene, int], Awaitable[str]], ...] = (
    Scene._output,
    Scene._workflow,
    Scene._fork,
    Scene._trash,
    Scene._version,
    Scene._comment,
    Scene._person,
    Scene._run,
    Scene._batch,
    Scene._share,
    Scene._collection,
    Scene._template,
    Scene._preset,
    Scene._input,
    Scene._lora,
    Scene._model,
    Scene._spent,
)


@asynccontextmanager
async def scene(whole: Whole, rows: int, most: int) -> AsyncIterator[Scene]:
    """With so many of each; `most`: as many as there may be later."""
    async with AsyncExitStack() as stack:
        ann = await stack.enter_async_context(administrator(whole))
        bob = await stack.enter_async_context(joined(whole))
        with beside(errand(lambda: notifying(whole.settings))):
            made = Scene(whole, ann, bob, stack)
            await made.begin(most)
            await made.more(rows)
            await made.heard(rows)
            yield made
