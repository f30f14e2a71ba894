"""Refusals in the shape in which ComfyUI tells of them: its editors show `error.message` to people."""

import logging
import re
from typing import Any

from msgspec.structs import replace

from adapters.http.gateway.call import Answer, json
from adapters.http.problems import BUG, OBJECTS_AWAY, OUTCOME_UNKNOWN, RETRY_AFTER_S, STATUS, UNAVAILABLE
from commands.ports import LogUnavailableError, ObjectsAwayError, OutcomeUnknownError
from domain.refusals import DomainError, Invalid, TooMany
from workflows.protocol.prompt import PromptProblem, PromptRefused

logger = logging.getLogger(__name__)

SAID = {
    LogUnavailableError: UNAVAILABLE,
    ObjectsAwayError: OBJECTS_AWAY,
    OutcomeUnknownError: OUTCOME_UNKNOWN,
}
KEY = re.compile(r"^/k/[^/]*")  # which must not reach a log
REFUSALS = (DomainError, *SAID)


def refused(error: Exception) -> Answer:
    """One of REFUSALS."""
    status, title = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    said = next((text for kind, text in SAID.items() if isinstance(error, kind)), str(error))
    details = ""
    if isinstance(error, Invalid):
        details = "\n".join(f"{each.field}: {each.reason}" for each in error.errors[:20])
    answer = told(400 if status == 422 else status, title.lower().replace(" ", "_"), said, details)
    wait = str(error.retry_after_s) if isinstance(error, TooMany) else RETRY_AFTER_S if status == 503 else ""
    return _with(answer, (b"retry-after", wait.encode())) if wait else answer


def told(status: int, type: str, message: str, details: str = "", **extra: Any) -> Answer:
    problem = PromptProblem(type=type, message=message[:500], details=details[:2000], extra_info=extra)
    return json(PromptRefused(error=problem), status)


def failed(error: Exception, path: str) -> Answer:
    """A bug: told plainly, without our internals."""
    logger.error("gateway request failed", exc_info=error, extra={"path": KEY.sub("/k/...", path)})
    return told(500, "internal_error", BUG)


def _with(answer: Answer, *headers: tuple[bytes, bytes]) -> Answer:
    return replace(answer, headers=(*answer.headers, *headers))
