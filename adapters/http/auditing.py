"""Proof that nobody has rewritten the log, for administrators."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from msgspec import Meta, Struct

from adapters.http.answers import answers
from adapters.http.callers import Caller
from adapters.http.parts import Parts
from services.ports.sealing import Finding

Seal = Annotated[str, Meta(description="SHA-256, in hexadecimal: of the seal before and all it covers.")]


class FaultAnswer(Struct):
    """`position`: the first one that is not as it was sealed."""

    position: int
    kind: str
    detail: str
    since: datetime | None


class FindingAnswer(Struct):
    """How far a part of the audit has come, and the first thing it found wrong."""

    position: int
    seal: Seal
    at: datetime
    rounds: Annotated[int, Meta(description="How often it has been at the end of the log.")]
    fault: FaultAnswer | None


class AuditAnswer(Struct):
    """`tail`: what is new, verified every minute. `round`: over the whole log, again and again, gently."""

    verdict: Literal["sound", "broken", "unknown"]
    head: int
    seal: Seal
    tail: FindingAnswer | None
    round: FindingAnswer | None


class CheckpointAnswer(Struct):
    """Signed with Ed25519 over five lines: `comfyplus log checkpoint 1`, log, position, seal, at."""

    log: UUID
    position: int
    seal: Seal
    at: str
    public_key: str
    signature: str


@get("/", responses=answers(200, AuditAnswer, 401, 403))
async def audit(parts: NamedDependency[Parts], administrator: NamedDependency[Caller]) -> AuditAnswer:
    """How far the log's seals were verified, when, and whether all was as it was sealed."""
    head, findings = await parts.audit.head(), await parts.audit.findings()
    broken = any(finding.fault for finding in findings.values())
    return AuditAnswer(
        verdict="broken" if broken else "sound" if "tail" in findings else "unknown",
        head=head.position,
        seal=head.seal.hex(),
        tail=_answer(findings.get("tail")),
        round=_answer(findings.get("round")),
    )


@get("/checkpoint", responses=answers(200, CheckpointAnswer, 401, 403, 404, 409))
async def checkpoint(
    parts: NamedDependency[Parts], administrator: NamedDependency[Caller]
) -> CheckpointAnswer:
    """A signed statement of how the log stands now. Kept elsewhere, it shows later that nothing before was changed.

    404 while the log is empty, 409 when it is known not to be what was sealed.
    """
    made = await parts.audit.checkpoint()
    return CheckpointAnswer(made.log, made.position, made.seal, made.at, made.public_key, made.signature)


def _answer(finding: Finding | None) -> FindingAnswer | None:
    if finding is None:
        return None
    fault = finding.fault
    return FindingAnswer(
        position=finding.link.position,
        seal=finding.link.seal.hex(),
        at=finding.at,
        rounds=finding.rounds,
        fault=None
        if fault is None
        else FaultAnswer(fault.position, str(fault.kind), fault.detail, finding.since),
    )


ROUTER = Router("/admin/audit", route_handlers=[audit, checkpoint], tags=["admin"])
