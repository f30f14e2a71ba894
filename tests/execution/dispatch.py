"""Dispatch in memory: the same domain decisions over a list of events, spoken to through the same port."""

import asyncio
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec

from domain.attempt import Retries, claim, hand_back, lose_attempt, start, store_output, succeed
from domain.ids import AccountId, Digest, RunId, WorkflowId, attempt_id
from domain.outcome import Failure
from domain.refusals import DomainError
from domain.run import (
    RUN,
    OutputStored,
    Run,
    RunEvent,
    RunFailed,
    RunStarted,
    RunSubmitted,
    Status,
    cancel,
    submit,
)
from domain.workflow import Content
from services.ports.executing import DispatchUnavailableError
from services.ports.messages import (
    Assignment,
    BackendOrder,
    Beat,
    BeatAnswer,
    ClaimRequest,
    Fact,
    HandedBack,
    HeldAttempt,
    Lost,
    NodesTold,
    OpenRequest,
    Part,
    Progress,
    Report,
    ReportAnswer,
    Started,
    Stock,
    Stored,
    Succeeded,
)
from services.ports.trying import Trial, Tried
from workflows.inventory import Inventory, digest, read

OWNER = AccountId(uuid4())
PATIENCE_S = 20.0


class MemoryDispatch:
    def __init__(self) -> None:
        self.events: dict[RunId, list[RunEvent]] = {}
        self.graphs: dict[RunId, bytes] = {}
        self.timeout_s = 60
        self.retries = Retries(limit=3, first_pause=timedelta(0))
        self.away = False
        self.lose_answers = 0
        self.token = "first"
        self.beats: list[Beat] = []
        self.orders: list[BackendOrder] = []
        self.tries: Callable[[Trial], None] = lambda trial: None
        self.trials: list[Tried] = []
        self.stocks: dict[str, Inventory] = {}
        self.documents: dict[Digest, bytes] = {}
        self.reports: list[Report] = []
        self.steps: list[Progress] = []
        self.previews: list[tuple[RunId, bytes, str]] = []
        self.told: list[NodesTold] = []
        self.inline_graphs = True
        self.prompted = False
        self._wakes: list[Callable[[], None]] = []
        self._cancels: list[Callable[[HeldAttempt], None]] = []
        self._changed = asyncio.Event()
        self._queue: list[RunId] = []
        self._states: dict[RunId, Run] = {}

    # what a test does

    def submit(self, graph: dict[str, object]) -> RunId:
        run = RunId(uuid4())
        self.graphs[run] = msgspec.json.encode(graph)
        submitted = RunSubmitted(
            owner=OWNER,
            workflow=WorkflowId(uuid4()),
            workflow_version=1,
            graph=Content(self.digest(run), len(self.graphs[run])),
            timeout_s=self.timeout_s,
        )
        self.events[run] = []
        self._states[run] = RUN.initial
        self._append(run, submit(RUN.initial, submitted=submitted))
        for wake in self._wakes:
            wake()
        return run

    def digest(self, run: RunId) -> Digest:
        return Digest(run.hex * 2)

    def cancel(self, run: RunId, *, hint: bool = True) -> None:
        state = self.state(run)
        self._append(run, cancel(state, by=OWNER))
        if hint:
            for callback in self._cancels:
                callback(HeldAttempt(run, state.epoch))

    def lose(self, run: RunId, failure: Failure) -> None:
        """As a sweeper would."""
        state = self.state(run)
        self._append(
            run, lose_attempt(state, epoch=state.epoch, failure=failure, now=_now(), retries=self.retries)
        )

    def state(self, run: RunId) -> Run:
        return self._states[run]

    def outputs(self, run: RunId) -> list[OutputStored]:
        epoch = self.state(run).epoch
        return [e for e in self.events[run] if isinstance(e, OutputStored) and e.epoch == epoch]

    def failure(self, run: RunId) -> Failure:
        (failed,) = [event for event in self.events[run] if isinstance(event, RunFailed)]
        return failed.failure

    def starts(self, run: RunId) -> int:
        return sum(isinstance(event, RunStarted) for event in self.events[run])

    async def until(self, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Until something that changes with what the executor says is true."""
        async with asyncio.timeout(patience_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def ends(self, run: RunId, status: Status = Status.SUCCEEDED) -> None:
        over = {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED}
        await self.until(lambda: self.state(run).status in over)
        assert self.state(run).status is status, self.events[run]

    # the port

    async def claim(self, request: ClaimRequest) -> Assignment | None:
        await self._reachable()
        while self._queue:
            run = self._queue.pop(0)
            if self.state(run).status is Status.QUEUED:
                self._append(run, claim(self.state(run), backend=request.backend, executor=request.executor))
                self._lose_answer()
                return self._assignment(run)
        return None

    async def open(self, request: OpenRequest) -> Sequence[Assignment]:
        await self._reachable()
        return [
            self._assignment(run) for run, state in self._states.items() if _held_by(state, request.executor)
        ]

    async def beat(self, beat: Beat) -> BeatAnswer:
        await self._reachable()
        self.beats.append(beat)
        revoked = [held for held in beat.attempts if not self._is_held(beat.executor, held)]
        self._changed.set()
        return BeatAnswer(
            revoked=tuple(revoked),
            tokens={str(held.run): self.token for held in beat.attempts},
            backends=tuple(self.orders) if beat.drives else None,
        )

    async def report(self, executor: str, report: Report) -> ReportAnswer:
        await self._reachable()
        report = msgspec.json.decode(msgspec.json.encode(report), type=Report)
        self.reports.append(report)
        try:
            for fact in report.facts:
                self._append(report.run, self._decide(self.state(report.run), report.epoch, fact))
        except DomainError as refusal:
            return ReportAnswer(accepted=False, reason=str(refusal))
        self._lose_answer()
        return ReportAnswer(accepted=True)

    async def stock(self, stock: Stock) -> None:
        await self._reachable()
        body = zlib.decompress(stock.packed)
        if stock.part is Part.INVENTORY:
            self.stocks[stock.backend] = read(body)
        else:
            self.documents[digest(body)] = body
        self._changed.set()

    async def progress(self, owner: AccountId, progress: Progress) -> None:
        self.steps.append(progress)
        self._changed.set()

    async def nodes_told(self, owner: AccountId, told: NodesTold) -> None:
        self.told.append(told)
        self._changed.set()

    async def preview(self, owner: AccountId, run: RunId, image: bytes, media_type: str, node: str) -> None:
        self.previews.append((run, image, media_type))
        self._changed.set()

    def on_wake(self, callback: Callable[[], None]) -> None:
        self._wakes.append(callback)

    def on_cancel(self, callback: Callable[[HeldAttempt], None]) -> None:
        self._cancels.append(callback)

    def on_try(self, callback: Callable[[Trial], None]) -> None:
        self.tries = callback

    async def tried(self, tried: Tried) -> None:
        self.trials.append(tried)
        self._changed.set()

    # inside

    def _decide(self, run: Run, epoch: int, fact: Fact) -> list[RunEvent]:
        match fact:
            case Started():
                return start(run, epoch=epoch)
            case Stored(output=output):
                return store_output(run, epoch=epoch, output=output)
            case Succeeded(execution_s=execution_s, nodes=nodes):
                return succeed(run, epoch=epoch, execution_s=execution_s, nodes=nodes)
            case Lost(failure=failure, execution_s=execution_s, nodes=nodes):
                return lose_attempt(
                    run,
                    epoch=epoch,
                    failure=failure,
                    now=_now(),
                    retries=self.retries,
                    execution_s=execution_s,
                    nodes=nodes,
                )
            case HandedBack(reason=reason):
                return hand_back(run, epoch=epoch, reason=reason, now=_now())

    def _append(self, run: RunId, events: Sequence[RunEvent]) -> None:
        self.events[run] += events
        self._states[run] = RUN.fold(self._states[run], events)
        if events and self._states[run].status is Status.QUEUED:
            self._queue.append(run)
        self._changed.set()

    def _assignment(self, run: RunId) -> Assignment:
        state = self.state(run)
        return Assignment(
            run=run,
            epoch=state.epoch,
            attempt=attempt_id(run, state.epoch),
            owner=OWNER,
            backend=state.backend,
            graph_digest=self.digest(run),
            graph=self.graphs[run] if self.inline_graphs else None,
            token=self.token,
            timeout_s=state.timeout_s,
            lease_s=15.0,
            prompted=self.prompted,
        )

    def _is_held(self, executor: str, held: HeldAttempt) -> bool:
        state = self._states.get(held.run)
        return state is not None and _held_by(state, executor) and state.epoch == held.epoch

    async def _reachable(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise DispatchUnavailableError("away")

    def _lose_answer(self) -> None:
        if self.lose_answers > 0:
            self.lose_answers -= 1
            raise DispatchUnavailableError("the answer was lost")


def _held_by(state: Run, executor: str) -> bool:
    return state.status in (Status.CLAIMED, Status.RUNNING) and state.executor == executor


def _now() -> datetime:
    return datetime.now(UTC)
