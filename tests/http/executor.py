"""An executor moved by hand: claims over the real NATS, uploads over the real HTTP, reports when told."""

import asyncio
import hashlib
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from msgspec.structs import replace

from adapters.nats.executor_link import NatsDispatchLink
from domain.backend import BackendSeen
from domain.ids import Digest
from domain.outcome import Failure, Image, Output
from infra.wiring import nats
from services.ports.executing import DispatchUnavailableError
from services.ports.messages import (
    Assignment,
    BackendState,
    Beat,
    ClaimRequest,
    Fact,
    HeldAttempt,
    Lost,
    Part,
    Progress,
    Report,
    Started,
    Stock,
    Stored,
    Succeeded,
)
from tests.http.person import client
from tests.http.whole import Whole
from workflows import web_files
from workflows.descriptions import described, documents
from workflows.inventory import Inventory, digest, written
from workflows.web_files import WebFile, cut

NAME = "gpu-1"
PATIENCE_S = 20.0
LOOK_S = 0.02

A = TypeVar("A")


class ByHand:
    def __init__(self, link: NatsDispatchLink, url: str) -> None:
        self.link = link
        self._url = url

    async def beat(self, *held: Assignment, live: bool = True) -> None:
        sight = BackendSeen(name=NAME, executor=NAME, comfyui_version="0.3", device="hand") if live else None
        state = BackendState(name=NAME, sight=sight, reason="switched off")
        attempts = tuple(HeldAttempt(each.run, each.epoch) for each in held)
        await self._patiently(
            lambda: self.link.beat(Beat(executor=NAME, attempts=attempts, backends=(state,)))
        )

    async def has(
        self,
        inventory: Inventory,
        classes: dict[str, Any] | None = None,
        files: dict[str, bytes] | None = None,
    ) -> None:
        """`classes`: as /object_info tells of them. `files`: for the editor, by path."""
        bodies = [body for _, body in documents(described(classes or {}, inventory.models))]
        for body in bodies:
            await self._stock(body, Part.CLASSES)
        named = await self._files(files) if files else None
        told = replace(inventory, described=tuple(map(digest, bodies)), web_files=named)
        await self._stock(written(told))

    async def claim(self, run: str) -> Assignment:
        """Others' runs that wait before it are claimed and given up for good."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            claimed = await self._patiently(
                lambda: self.link.claim(ClaimRequest(executor=NAME, backend=NAME))
            )
            if claimed is None:
                await asyncio.sleep(LOOK_S)
            elif str(claimed.run) == run:
                return claimed
            else:
                await self.fail(claimed)
        raise AssertionError(f"run {run} cannot be claimed")

    async def report(self, claimed: Assignment, *facts: Fact) -> None:
        answer = await self.link.report(NAME, Report(run=claimed.run, epoch=claimed.epoch, facts=facts))
        assert answer.accepted, answer.reason

    async def start(self, claimed: Assignment) -> None:
        await self.report(claimed, Started())

    async def fail(self, claimed: Assignment) -> None:
        failure = Failure("node", "It was told to fail.", node="2")  # type: ignore[arg-type]  # a StrEnum's value
        await self.report(claimed, Started(), Lost(failure=failure))

    async def step(self, claimed: Assignment, percent: float) -> None:
        progress = Progress(run=claimed.run, epoch=claimed.epoch, percent=percent, node="1")
        await self.link.progress(claimed.owner, progress)

    async def upload(self, claimed: Assignment, body: bytes) -> Digest:
        digest = Digest(hashlib.sha256(body).hexdigest())
        async with client(self._url) as http:
            headers = {"Authorization": f"Bearer {claimed.token}"}
            answer = await http.put(f"/api/v1/objects/{digest}", content=body, headers=headers)
        assert answer.status_code == 204, answer.text
        return digest

    async def store(self, claimed: Assignment, body: bytes, *, index: int = 0, name: str = "a.png") -> Output:
        digest = await self.upload(claimed, body)
        small = Image(await self.upload(claimed, b"small " + body), 6 + len(body), "image/webp", 8, 8)
        output = Output("2", index, name, digest, len(body), "image/png", 64, 64, (small,))
        await self.report(claimed, Stored(output=output))
        return output

    async def succeed(self, claimed: Assignment) -> None:
        await self.report(claimed, Succeeded(execution_s=0.25))

    async def _files(self, files: dict[str, bytes]) -> Digest:
        told = {}
        for path, body in files.items():
            for piece in cut(body):
                await self._stock(piece, Part.PIECE)
            told[path] = WebFile(tuple(map(digest, cut(body))), len(body))
        listed = web_files.written(told)
        await self._stock(listed, Part.WEB_FILES)
        return digest(listed)

    async def _stock(self, body: bytes, part: Part = Part.INVENTORY) -> None:
        stock = Stock(backend=NAME, packed=zlib.compress(body), part=part)
        await self._patiently(lambda: self.link.stock(stock))

    async def _patiently(self, ask: Callable[[], Awaitable[A]]) -> A:
        """As executors do: what dispatch could not answer is asked again."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await ask()
            except DispatchUnavailableError:
                assert time.monotonic() < deadline, "dispatch does not answer"
                await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def by_hand(whole: Whole) -> AsyncIterator[ByHand]:
    async with nats(NAME, whole.nats.url_of(NAME), inbox_prefix=f"_INBOX_{NAME}") as connection:
        link = NatsDispatchLink(connection, NAME)
        await link.listen()
        executor = ByHand(link, whole.url)
        await executor.beat()
        yield executor
