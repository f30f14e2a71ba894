"""What dispatch answers to executors: a claim, a beat, the attempts they hold, a report."""

import asyncio
import logging
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from commands.dispatcher import Dispatcher
from commands.ports import Clock, Contents, StaleStreamError
from commands.runs import ReportRun, handed_back, lost, started, stopped, stored, succeeded
from commands.streams import Context
from domain.ids import AccountId, Actor, Digest, attempt_id
from domain.refusals import DomainError
from domain.run import RUN, Run, RunClaimed, RunEvent
from services.dispatch.folding import Folding
from services.dispatch.roll import Roll
from services.dispatch.rousing import Rousing
from services.ports.confiding import Confidant
from services.ports.dispatching import Claimed, ClaimTokens, Kept, RunQueue
from services.ports.messages import (
    Assignment,
    Beat,
    BeatAnswer,
    ClaimRequest,
    Fact,
    HandedBack,
    HeldAttempt,
    Lost,
    OpenRequest,
    Report,
    ReportAnswer,
    Started,
    Stock,
    Stopped,
    Stored,
    Succeeded,
)

logger = logging.getLogger(__name__)

INLINE_GRAPH_BYTES = 128 * 1024  # in the claim's answer; a larger graph is fetched like an object
CACHED_GRAPHS = 200
EXTRA_BYTES = 384 * 1024  # packed: with the graph it fits into one message
STALE_PICKS = 5  # cancelled meanwhile, one after the other; then the executor asks again
MAX_BACKENDS = 200  # of one executor
TOKEN_GRACE = timedelta(minutes=2)  # an upload that began within the lease may end after it


class Leases(Struct, frozen=True):
    lease: timedelta = timedelta(seconds=45)


class Answering:
    """The responders. `executor` is the name in the subject: NATS has checked that it is theirs."""

    def __init__(
        self,
        queue: RunQueue,
        folding: Folding,
        roll: Roll,
        dispatcher: Dispatcher,
        contents: Contents,
        tokens: ClaimTokens,
        now: Clock,
        confidant: Confidant,
        rousing: Rousing,
        leases: Leases = Leases(),
    ) -> None:
        self._queue = queue
        self._folding = folding
        self._roll = roll
        self._dispatcher = dispatcher
        self._contents = contents
        self._tokens = tokens
        self._now = now
        self._confidant = confidant
        self._rousing = rousing
        self._leases = leases
        self._graphs: OrderedDict[Digest, bytes | None] = OrderedDict()

    async def claim(self, executor: str, body: bytes) -> bytes:
        asked = msgspec.json.decode(body, type=ClaimRequest)
        request = await self._roll.claiming(executor, asked.backend)
        claimed = None if request is None else await self._claim(request)
        return msgspec.json.encode(None if claimed is None else await self._assignment(claimed))

    async def open(self, executor: str, body: bytes) -> bytes:
        msgspec.json.decode(body, type=OpenRequest)
        held = await self._queue.held(executor)
        await self._queue.renew(
            executor, [HeldAttempt(each.run, each.epoch) for each in held], self._lease_until()
        )
        return msgspec.json.encode([await self._assignment(each) for each in held])

    async def beat(self, executor: str, body: bytes) -> bytes:
        beat = msgspec.json.decode(body, type=Beat)
        until = self._lease_until()
        renewed = await self._queue.renew(executor, beat.attempts, until)
        for backend in beat.backends[:MAX_BACKENDS]:
            await self._roll.seen(executor, backend, until, self._new_context(executor))
        expires = until + TOKEN_GRACE
        answer = BeatAnswer(
            revoked=tuple(held for held in beat.attempts if held not in renewed),
            tokens={
                str(held.run): self._tokens.claim_token(held.run, held.epoch, graph, expires)
                for held, graph in renewed.items()
            },
            backends=await self._roll.orders(executor, until) if beat.drives else None,
        )
        return msgspec.json.encode(answer)

    async def stock(self, executor: str, body: bytes) -> bytes:
        """Raises UnusableError."""
        await self._roll.stocked(executor, msgspec.json.decode(body, type=Stock), self._new_context(executor))
        return msgspec.json.encode(None)

    async def report(self, executor: str, body: bytes) -> bytes:
        report = msgspec.json.decode(body, type=Report)
        wish = ReportRun(
            run=report.run,
            executor=executor,
            facts=tuple(self._decision(report.epoch, fact) for fact in report.facts),
        )
        try:
            await self._dispatcher.run(wish, self._context(executor, report.run))
        except DomainError as refusal:
            return msgspec.json.encode(ReportAnswer(accepted=False, reason=str(refusal)))
        return msgspec.json.encode(ReportAnswer(accepted=True))

    async def _claim(self, request: ClaimRequest) -> Claimed | None:
        for _ in range(STALE_PICKS):
            try:
                found = await self._queue.claim(request, self._lease_until())
            except StaleStreamError:
                await self._folding.catch_up()
            else:
                claimed = found if isinstance(found, Claimed) else None
                self._folding.claimed(claimed is not None)
                if claimed is not None:
                    self._learn(claimed, request.executor)
                elif isinstance(found, Kept):
                    self._rousing.rouse_in(found.for_s)
                return claimed
        return None

    def _learn(self, claimed: Claimed, executor: str) -> None:
        event = RunClaimed(epoch=claimed.epoch, backend=claimed.backend, executor=executor)
        self._dispatcher.needs.streams.learn(RUN, claimed.run, claimed.version, event)

    async def _assignment(self, claimed: Claimed) -> Assignment:
        expires = self._lease_until() + TOKEN_GRACE
        return Assignment(
            run=claimed.run,
            epoch=claimed.epoch,
            attempt=attempt_id(claimed.run, claimed.epoch),
            owner=AccountId(claimed.owner),
            backend=claimed.backend,
            graph_digest=claimed.graph,
            graph=await self._inline_graph(claimed.graph),
            token=self._tokens.claim_token(claimed.run, claimed.epoch, claimed.graph, expires),
            timeout_s=claimed.timeout_s,
            lease_s=self._leases.lease.total_seconds(),
            prompted=claimed.prompted,
            extra=await self._extra(claimed) if claimed.prompted else None,
        )

    async def _extra(self, claimed: Claimed) -> bytes | None:
        """What a client sent along, packed, and its secrets; None where it is too much to travel with the claim."""
        secrets = await self._confidant.tell(claimed.run)
        kept = None if claimed.extra is None else await self._contents.get(claimed.extra)
        if kept is None and secrets is None:
            return None
        for bodies in ((kept, secrets), (secrets,)):
            found: dict[str, msgspec.Raw] = {}
            for body in filter(None, bodies):
                found |= msgspec.json.decode(body, type=dict[str, msgspec.Raw])
            packed = await asyncio.to_thread(zlib.compress, msgspec.json.encode(found))
            if found and len(packed) <= EXTRA_BYTES:
                return packed
        return None

    async def _inline_graph(self, digest: Digest) -> bytes | None:
        """The graph, or None where it is too large to travel with the claim."""
        if digest not in self._graphs:
            graph = await self._contents.get(digest)
            if graph is None:
                raise LookupError(f"The graph {digest} is not among the contents.")
            self._graphs[digest] = graph if len(graph) <= INLINE_GRAPH_BYTES else None
            while len(self._graphs) > CACHED_GRAPHS:
                self._graphs.popitem(last=False)
        return self._graphs[digest]

    def _decision(self, epoch: int, fact: Fact) -> Callable[[Run], Sequence[RunEvent]]:
        match fact:
            case Started():
                return started(epoch)
            case Stored(output=output):
                return stored(epoch, output)
            case Succeeded(execution_s=execution_s, nodes=nodes, course=course):
                return succeeded(epoch, execution_s, nodes, course)
            case Lost(failure=failure, execution_s=execution_s, nodes=nodes, course=course):
                return lost(epoch, failure, self._dispatcher.needs, execution_s, nodes, course)
            case HandedBack(reason=reason):
                return handed_back(epoch, reason, self._dispatcher.needs)
            case Stopped(course=course):
                return stopped(epoch, course)

    def _lease_until(self) -> datetime:
        return self._now() + self._leases.lease

    def _new_context(self, executor: str) -> Context:
        return self._context(executor, self._dispatcher.needs.new_id())

    def _context(self, executor: str, correlation: UUID) -> Context:
        return Context(actor=Actor(f"executor:{executor}"), correlation=correlation)
