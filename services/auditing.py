"""Proof that nobody has rewritten the log: the chain of seals is computed again from the events themselves.

`verify` does so once. `Auditing` does so for ever: every minute what is new, and gently round and round the rest.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from commands.ports import LogUnavailableError
from domain.checkpoint import Checkpoint, Signer, Witness, signed
from domain.ids import Position
from domain.refusals import Conflict, NotFound
from domain.seal import Fault, FaultKind, Link, SealedPage, digest_at, follow, moved
from services.ports.relaying import LogTail
from services.ports.sealing import Audits, Finding, SealedLog

logger = logging.getLogger(__name__)

PAGE = 10_000  # events; about 6 MB
GENTLE_PAGE = 500
NEAR = 100_000  # positions that are searched for where an event was before
KEEP_S = 10.0  # of a round that a crash may repeat
PAUSE_S = 2.0  # before something that failed is tried again
LEADERSHIP = "audit"

Told = Callable[[Position], None]


class Verified(Struct, frozen=True):
    """The last place that is sound, the events on the way there, and what is wrong behind it."""

    link: Link
    events: int
    fault: Fault | None


def verify(
    log: SealedLog,
    start: Link,
    upto: Position,
    *,
    witness: Witness | None = None,
    told: Told = lambda _: None,
) -> Verified:
    """From a place taken for sound up to the seal that covers a position. Raises LogUnavailableError."""
    link, fault = start, None
    with ThreadPoolExecutor(1) as reading:
        for page in _pages(log, start, upto, reading):
            link, fault = follow(link, page)
            sound = [seal for seal in page.seals if seal.last <= link.position]
            fault = next(filter(None, map(witness.meets, sound)), fault) if witness else fault
            told(link.position)
            if fault is not None:
                break
    if fault is None and upto >= log.head().position:
        fault = _at_the_end(log, link, witness)
    elif fault is not None and fault.kind == FaultKind.CHANGED:
        fault = explained(log, fault)
    return Verified(link, link.position - start.position, fault)


def explained(log: SealedLog, fault: Fault) -> Fault:
    """Whether the event that stands there instead was sealed at another position."""
    record = log.record(fault.position)
    after = Position(max(0, fault.position - NEAR))
    for seal in log.seals(after, Position(fault.position + NEAR)) if record else ():
        for place in range(seal.first, seal.last + 1):
            at = Position(place)
            if at != fault.position and digest_at(seal, at) == moved(record or b"", at, seal.form):
                detail = f"The event that was sealed at position {place} stands here."
                return Fault(fault.position, FaultKind.SWAPPED, detail)
    return fault


def foreign(log: SealedLog, checkpoint: Checkpoint) -> Fault | None:
    """A checkpoint holds for the log that it names, and for what was restored from a backup of it up to there.

    Raises ValueError when it is another log's.
    """
    if checkpoint.log == log.identity():
        return None
    for ancestor in log.ancestors():
        if ancestor.id == checkpoint.log:
            if checkpoint.position <= ancestor.position:
                return None
            detail = f"The log was restored from a backup that ended here; it was signed up to {checkpoint.position}."
            return Fault(Position(ancestor.position + 1), FaultKind.MISSING, detail)
    raise ValueError(f"The checkpoint is of the log {checkpoint.log}, which is another one.")


def _pages(log: SealedLog, start: Link, upto: Position, reading: ThreadPoolExecutor) -> Iterator[SealedPage]:
    """The next one is fetched while one is hashed."""
    fetching = reading.submit(log.page, start, PAGE)
    while (page := fetching.result()).seals:
        last = page.seals[-1]
        if last.last < upto:
            fetching = reading.submit(log.page, Link(last.last, last.seal), PAGE)
            yield page
        else:
            yield _upto(page, upto)
            return


def _upto(page: SealedPage, upto: Position) -> SealedPage:
    """Without the seals that begin behind it."""
    return SealedPage([seal for seal in page.seals if seal.first <= upto] or page.seals[:1], page.records)


def _at_the_end(log: SealedLog, link: Link, witness: Witness | None) -> Fault | None:
    stray = log.unsealed()
    if stray is not None:
        return Fault(stray, FaultKind.UNSEALED, "No seal covers the event at this position.")
    return witness.missing(link) if witness else None


class Broken(Conflict):
    """The chain is broken: nobody should be given a signature for what stands in the log."""


class Shown:
    """What administrators are shown of the audit. Every method raises LogUnavailableError."""

    def __init__(
        self, log: SealedLog, audits: Audits, signer: Callable[[], Signer], now: Callable[[], datetime]
    ) -> None:
        """`signer` is asked for when the first checkpoint is: its key may have to be made."""
        self._log, self._audits, self._signer, self._now = log, audits, signer, now

    async def head(self) -> Link:
        return await asyncio.to_thread(self._log.head)

    async def findings(self) -> dict[str, Finding]:
        return await asyncio.to_thread(self._audits.read)

    async def checkpoint(self) -> Checkpoint:
        """Raises NotFound for an empty log, Broken."""
        return await asyncio.to_thread(self._checkpoint)

    def _checkpoint(self) -> Checkpoint:
        for finding in self._audits.read().values():
            if finding.fault is not None:
                raise Broken(f"The log is not what was sealed: {finding.fault}")
        head = self._log.head()
        if not head.position:
            raise NotFound("The log is empty.")
        return signed(self._log.identity(), head, self._now(), self._signer())


class Pace(Struct, frozen=True):
    """`every_s`: how soon what is new is verified. `events_s` bounds the round over the whole log."""

    every_s: float
    events_s: float


class Auditing:
    """Runs until it is cancelled, in one process at a time. Findings are kept, and an alarm stays."""

    def __init__(
        self, tail: LogTail, log: SealedLog, audits: Audits, now: Callable[[], datetime], pace: Pace
    ) -> None:
        self._tail, self._log, self._audits, self._now, self._pace = tail, log, audits, now, pace

    async def run(self) -> None:
        while True:
            try:
                async with self._tail.leadership(LEADERSHIP) as leadership, asyncio.TaskGroup() as group:
                    work = [group.create_task(self._follow_tail()), group.create_task(self._go_round())]
                    while await leadership.held():
                        await asyncio.sleep(self._pace.every_s)
                    for task in work:
                        task.cancel()
            except* LogUnavailableError as error:
                logger.warning("the audit waits", extra={"reason": str(error.exceptions[0])})
            except* Exception:  # the outermost loop: the log must not go unwatched
                logger.exception("the audit failed")
            await asyncio.sleep(PAUSE_S)

    async def _follow_tail(self) -> None:
        while True:
            await asyncio.to_thread(self.look_at_tail)
            await asyncio.sleep(self._pace.every_s)

    async def _go_round(self) -> None:
        loop = asyncio.get_running_loop()
        finding = (await asyncio.to_thread(self._audits.read)).get("round") or Finding(at=self._now())
        kept_at, sound = loop.time(), finding.link.position == 0
        while True:
            begun = loop.time()
            page = await asyncio.to_thread(self._log.page, finding.link, GENTLE_PAGE)
            link, fault = follow(finding.link, page)
            ended = not page.seals
            if fault is not None:
                sound = False
                finding = self._faulty(finding, fault)
                link = _behind(page, link)
            finding = replace(finding, link=link, at=self._now())
            if ended:
                mended = sound and finding.fault is not None
                finding = replace(finding, link=Link(), rounds=finding.rounds + 1)
                finding = replace(finding, fault=None, since=None) if mended else finding
                sound = True
            if ended or fault or loop.time() - kept_at > KEEP_S:
                await asyncio.to_thread(self._audits.keep, "round", finding)
                kept_at = loop.time()
            share_s = len(page.records) / self._pace.events_s
            pause_s = self._pace.every_s if ended else share_s - (loop.time() - begun)
            await asyncio.sleep(max(0.0, pause_s))

    def look_at_tail(self) -> None:
        """Verify what is new, and say again what is wrong. Begins at the end of the log the first time."""
        findings, head = self._audits.read(), self._log.head()
        finding = findings.get("tail") or Finding(link=head, at=self._now())
        link, fault = head, self._gone(finding.link)
        if fault is None:
            verified = verify(self._log, finding.link, head.position)
            fault = verified.fault
            link = head if fault else verified.link
        if fault is not None:
            finding = self._faulty(finding, fault)
        finding = replace(finding, link=link, at=self._now())
        self._audits.keep("tail", finding)
        for name, each in (findings | {"tail": finding}).items():
            if each.fault is not None:
                self._alarm(name, each.fault)

    def _gone(self, link: Link) -> Fault | None:
        """Whether the log no longer has the seal that it ended with when it was last looked at."""
        now = self._log.before(Position(link.position + 1))
        if now == link:
            return None
        if now.position < link.position and self._log.head().position < link.position:
            detail = f"The log ends here; it went on to position {link.position}."
            return Fault(Position(now.position + 1), FaultKind.MISSING, detail)
        return Fault(link.position, FaultKind.REWRITTEN, "The seal here is not the one that was here.")

    def _faulty(self, finding: Finding, fault: Fault) -> Finding:
        """The first fault stays until it is mended."""
        if finding.fault is not None and finding.fault.position <= fault.position:
            return finding
        self._alarm("new", fault)
        return replace(finding, fault=fault, since=self._now())

    def _alarm(self, found_by: str, fault: Fault) -> None:
        facts = {"position": fault.position, "fault": str(fault.kind), "detail": fault.detail, "by": found_by}
        logger.error("the log's chain is broken", extra=facts)


def _behind(page: SealedPage, link: Link) -> Link:
    """Where to go on behind what is wrong."""
    return next((Link(seal.last, seal.seal) for seal in page.seals if seal.last > link.position), link)
