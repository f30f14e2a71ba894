"""Refusals and faults as RFC 9457 problems. Status codes exist here only."""

import logging
import re
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import Struct

from adapters.http.rates import rate_limits
from commands.ports import (
    LogUnavailableError,
    ObjectsAwayError,
    ObjectTooLarge,
    OutcomeUnknownError,
    Outdated,
    WrongDigest,
)
from commands.providers import ProviderAway
from domain.limits import LimitReached
from domain.refusals import (
    CodeNeeded,
    Conflict,
    DomainError,
    FieldError,
    Invalid,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    TooMany,
)
from services.ports.uploading import ChecksumMismatch, NoRoom

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Malformed(DomainError):
    """The request cannot be read at all."""


class TooLarge(DomainError):
    """The request has more bytes than may be sent here."""


class WrongMediaType(DomainError):
    """The body is of a kind that is not read here."""


class NotThere(DomainError):
    """A part was asked for that the file does not have."""


class NotYet(DomainError):
    """The answer is not there yet; asking again soon makes sense."""


STATUS: dict[type[Exception], tuple[int, str]] = {
    Malformed: (400, "Malformed request"),
    Invalid: (422, "Invalid request"),
    CodeNeeded: (401, "Code needed"),
    NotAuthenticated: (401, "Not logged in"),
    NotAllowed: (403, "Not allowed"),
    NotFound: (404, "Not found"),
    ObjectTooLarge: (413, "Too large"),
    TooLarge: (413, "Too large"),
    WrongMediaType: (415, "Wrong media type"),
    NotThere: (416, "No such part"),
    WrongDigest: (422, "Wrong digest"),
    Outdated: (412, "Outdated"),
    Conflict: (409, "Conflict"),
    TooMany: (429, "Too many"),
    ChecksumMismatch: (460, "Checksum mismatch"),  # tus's own
    NoRoom: (507, "No room"),
    NotYet: (503, "Not yet"),
    ProviderAway: (503, "Temporarily unavailable"),
    LogUnavailableError: (503, "Temporarily unavailable"),
    ObjectsAwayError: (503, "Temporarily unavailable"),
    OutcomeUnknownError: (503, "Temporarily unavailable"),
}
RETRY_AFTER_S = "1"
LONGEST = 500
OBJECTS_AWAY = "The service cannot reach the store of its files at the moment. Please try again."
UNAVAILABLE = "The service cannot reach its database at the moment. Please try again."
NO_BODY = "The request has no body; a JSON object is expected."
OUTCOME_UNKNOWN = (
    "The connection was lost while this was being stored; it may have happened. "
    "Look before you send it again, or send it again with the same Idempotency-Key."
)
BUG = "Something went wrong on our side. It has been logged."


class Problem(Struct, frozen=True, omit_defaults=True):
    """An RFC 9457 problem. `errors` names the fields at fault, where that is what is wrong."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()


def described(status: int, title: str, detail: str, errors: tuple[FieldError, ...] = ()) -> Problem:
    """What was sent comes back shortened: an answer must not grow with the request."""
    kind = f"urn:comfyplus:problem:{title.lower().replace(' ', '-')}"
    short = tuple(FieldError(each.field[:LONGEST], each.reason[:LONGEST]) for each in errors)
    return Problem(type=kind, title=title, status=status, detail=detail[:LONGEST], errors=short)


def problem(status: int, title: str, detail: str, errors: tuple[FieldError, ...] = ()) -> Response[Problem]:
    return Response(
        described(status, title, detail, errors),
        status_code=status,
        media_type=MEDIA_TYPE,
    )


def refused(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """A DomainError, or a fault of the log that the caller can do something about."""
    status, title = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    detail = str(error)
    if isinstance(error, LogUnavailableError):
        detail = UNAVAILABLE
    elif isinstance(error, ObjectsAwayError):
        detail = OBJECTS_AWAY
    elif isinstance(error, OutcomeUnknownError):
        detail = OUTCOME_UNKNOWN
    answer = problem(status, title, detail, error.errors if isinstance(error, Invalid) else ())
    if isinstance(error, TooMany):
        answer.headers["Retry-After"] = str(error.retry_after_s)
        if isinstance(error, LimitReached):
            answer.headers.update(rate_limits(error.quotas))
    elif status == 503:
        answer.headers["Retry-After"] = RETRY_AFTER_S
    elif status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def framework_refused(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """What the framework itself refuses: unknown routes, wrong methods, parameters of a wrong type."""
    titles = {400: "Malformed request", 404: "Not found", 405: "Method not allowed", 413: "Too large"}
    title = titles.get(error.status_code, "Refused")
    extra = error.extra if isinstance(error.extra, list) else []
    errors = tuple(
        FieldError(str(each.get("key", "")), str(each.get("message", "")))
        for each in extra
        if isinstance(each, dict)
    )
    detail = str(error.detail)
    match error.status_code:
        case 400:
            nothing = any(each.field == "data" for each in errors)  # the framework's name for the body
            detail, errors = (NO_BODY, ()) if nothing else ("The request cannot be read.", errors)
        case 404:
            detail = "There is nothing at this address."
        case 405:
            detail = f"This address does not answer to {request.scope['method']}."
        case 413:
            detail = "The request is too large."
    answer = problem(error.status_code, title, detail, errors)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


SHARED = re.compile(r"/shared/[^/]+")  # the token of a link must not reach a log


def failed(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """A bug, or a part that is away in a way nobody thought of: told plainly, without our internals."""
    path = SHARED.sub("/shared/...", request.scope["path"])
    logger.error("request failed", exc_info=error, extra={"method": request.method, "path": path})
    return problem(500, "Internal error", BUG)


HANDLERS: Any = {
    **dict.fromkeys((DomainError, LogUnavailableError, ObjectsAwayError, OutcomeUnknownError), refused),
    HTTPException: framework_refused,
    Exception: failed,
}
