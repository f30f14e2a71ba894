"""Somebody who uses the product over HTTP, patiently: what is away for a moment is asked again."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
from msgspec import Struct

from tests.whole.whole import LOOK_S, PATIENCE_S

Graph = dict[str, Any]
OVER = {"succeeded", "failed", "cancelled"}
PASSWORD = "correct horse battery"


class Account(Struct, frozen=True):
    id: str
    token: str


class Person:
    """`http` carries the access token. Nobody is ever told 500: what is away is 503, or no connection."""

    def __init__(self, http: httpx.AsyncClient, account: Account | None = None) -> None:
        self.http = http
        self.id = ""
        if account is not None:
            self.id = account.id
            http.headers["Authorization"] = f"Bearer {account.token}"

    async def once(
        self, method: str, path: str, *, key: str | None = None, after: int = 0, **request: Any
    ) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        if after:
            headers["Consistent-With"] = str(after)
        try:
            answer = await self.http.request(method, f"/api/v1{path}", headers=headers, **request)
        except (
            AttributeError
        ) as error:  # anyio's words, over uvloop, for a line that was lost while it was made
            raise httpx.ConnectError(str(error)) from error
        assert answer.status_code != 500, f"{method} {path}: {answer.text}"
        return answer

    async def ask(
        self, method: str, path: str, *, key: str | None = None, after: int = 0, **request: Any
    ) -> Any:
        """Ask again while the answer is 503 or there is none; with a key or for reading that is safe."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            trouble: object
            try:
                answer = await self.once(method, path, key=key, after=after, **request)
            except httpx.TransportError as error:
                trouble = error
            else:
                if answer.status_code != 503:
                    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
                    return answer.json()
                trouble = answer.text
            assert time.monotonic() < deadline, f"{method} {path} is not answered: {trouble!r}"
            await asyncio.sleep(LOOK_S * 5)

    async def join(self) -> Account:
        """Register and log in."""
        name = f"ann-{uuid4().hex[:8]}"
        asked = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
        registered = await self.ask("POST", "/auth/register", json=asked)
        tokens = await self.ask("POST", "/auth/login", json={"login": name, "password": PASSWORD})
        return Account(registered["id"], tokens["access_token"])

    async def workflow(self, graph: Graph, **more: Any) -> str:
        asked = {"name": "A workflow", "graph": graph} | more
        return str((await self.ask("POST", "/workflows", key=uuid4().hex, json=asked))["id"])

    async def submit(self, workflow: str, *, key: str | None = None, priority: int = 5) -> str:
        """Returns the run's id once it is accepted. The key makes asking again safe."""
        asked = {"priority": priority}
        accepted = await self.ask("POST", f"/workflows/{workflow}/runs", key=key or uuid4().hex, json=asked)
        return str(accepted["id"])

    async def run(self, id: str) -> dict[str, Any]:
        return dict(await self.ask("GET", f"/runs/{id}"))

    async def until(self, id: str, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while not condition(run := await self._seen(id)):
            assert time.monotonic() < deadline, f"the run stays as it is: {run}"
            await asyncio.sleep(LOOK_S * 5)
        return run

    async def until_over(self, id: str) -> dict[str, Any]:
        return await self.until(id, lambda run: run.get("status") in OVER)

    async def until_running(self, id: str) -> dict[str, Any]:
        run = await self.until(id, lambda run: run.get("status") in {"running", *OVER})
        assert run["status"] == "running", run
        return run

    async def history(self, id: str) -> list[dict[str, Any]]:
        return list((await self.ask("GET", f"/runs/{id}/history", params={"limit": 100}))["items"])

    async def _seen(self, id: str) -> dict[str, Any]:
        """Empty while the read model has not heard of the run."""
        try:
            answer = await self.once("GET", f"/runs/{id}")
        except httpx.TransportError:
            return {}
        return dict(answer.json()) if answer.status_code == 200 else {}


async def joined(url: str) -> Account:
    async with person(url) as somebody:
        return await somebody.join()


@asynccontextmanager
async def person(url: str, account: Account | None = None) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(base_url=url, timeout=30, verify=False, trust_env=False) as http:
        yield Person(http, account)


async def live(somebody: Person, run: str, last: int = 0) -> AsyncIterator[tuple[str, int | None, Any]]:
    """The server-sent events of a run: name, id and content."""
    headers = {"Last-Event-ID": str(last)} if last else {}
    url = f"/api/v1/runs/{run}/live"
    async with somebody.http.stream("GET", url, headers=headers, timeout=PATIENCE_S) as answer:
        assert answer.status_code == 200
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            elif "data" in fields:
                place = fields.get("id")
                yield fields["event"], int(place) if place else None, json.loads(fields["data"])
                fields = {}


async def misbehave(url: str, **faults: Any) -> None:
    """Exchange all switches of the sandbox; without arguments it behaves."""
    async with httpx.AsyncClient(verify=False, trust_env=False) as http:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                (await http.post(f"{url}/sandbox/faults", json=faults)).raise_for_status()
                return
            except httpx.TransportError:
                assert time.monotonic() < deadline, "the sandbox does not answer"
                await asyncio.sleep(LOOK_S)
