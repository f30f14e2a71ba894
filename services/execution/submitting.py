"""Bringing an attempt into a backend: at most once, whatever happens on the way."""

import asyncio
import logging
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from services.execution.attempt import Attempt
from services.execution.failures import NO_GRAPH, SPOOL_FULL, UNFETCHED, UNREACHABLE
from services.execution.health import Health
from services.execution.inputs import with_inputs
from services.execution.needs import Needs
from services.execution.noting import noted
from services.execution.pauses import pauses
from services.execution.uniqueness import unique
from services.ports.backend import (
    BackendLink,
    BackendUnavailableError,
    Broken,
    GraphRefusedError,
    Place,
    PromptUncertainError,
)
from services.ports.executing import (
    Called,
    ObjectRefusedError,
    ObjectsUnavailableError,
    SpoolEntry,
    SpoolFullError,
    Submitting,
)

logger = logging.getLogger(__name__)

_graph = msgspec.json.Decoder(dict[str, Any])


async def enter(attempt: Attempt, link: BackendLink, health: Health, needs: Needs) -> None:
    """Afterwards the backend has it, or may have it (`submitted`), or the verdict is known."""
    known = any(isinstance(entry, Submitting) for entry in attempt.entries)
    if known or (attempt.adopted and await _there(attempt, link, health, needs)):
        link.follow(attempt.id, _at_hand(attempt), called(attempt.entries))
        attempt.submitted = True
    elif not attempt.over:
        await _submit(attempt, link, health, needs)


async def _there(attempt: Attempt, link: BackendLink, health: Health, needs: Needs) -> bool:
    """Whether the backend knows an attempt of which the spool knows nothing."""
    for pause_s in pauses(needs.settings.retry_s):
        if attempt.over:
            return False
        try:
            (place,) = await link.look([attempt.id])
            return place is not Place.NOWHERE
        except BackendUnavailableError:
            health.suspect()
            await asyncio.sleep(pause_s)
    raise AssertionError("pauses never end")


async def _submit(attempt: Attempt, link: BackendLink, health: Health, needs: Needs) -> None:
    graph = await _fetch(attempt, needs)
    if graph is not None:
        graph = await with_inputs(graph, attempt, link, health, needs)
    if graph is None or attempt.over:
        return
    if not await needs.loras.bring(attempt, graph):
        return
    assignment, extra = attempt.assignment, _extra(attempt)
    submitting = Submitting(
        run=assignment.run, epoch=assignment.epoch, backend=assignment.backend, line=link.line
    )
    try:
        needs.spool.append(attempt.id, submitting)
    except SpoolFullError:  # it could be submitted twice
        attempt.settle(Broken(failure=SPOOL_FULL))
        return
    deadline = asyncio.get_running_loop().time() + needs.settings.backend_patience_s
    while not attempt.over:
        try:
            if name := await link.submit(attempt.id, graph, extra):
                noted(needs.spool, attempt.id, Called(name=name))
        except GraphRefusedError as refused:
            attempt.must_stop = refused.queued
            attempt.settle(Broken(failure=refused.failure))
        except PromptUncertainError as error:
            logger.warning("prompt uncertain", extra={"run": str(assignment.run), "reason": str(error)})
            health.suspect()
        except BackendUnavailableError:  # it was not sent
            health.suspect()
            patience_s = deadline - asyncio.get_running_loop().time()
            if not await health.alive_within(patience_s):
                attempt.settle(Broken(failure=UNREACHABLE))
            continue
        attempt.submitted = True
        return


def called(entries: Sequence[SpoolEntry]) -> str:
    """The backend's own name for an attempt, "" if it has none, or told it to a process that died at that moment."""
    return next((entry.name for entry in entries if isinstance(entry, Called)), "")


def _extra(attempt: Attempt) -> dict[str, Any] | None:
    """What a client of ComfyUI sent along; None where none sent it."""
    if not attempt.assignment.prompted:
        return None
    try:
        return _graph.decode(zlib.decompress(attempt.assignment.extra or b""))
    except (zlib.error, msgspec.DecodeError, RecursionError):
        return {}


def _at_hand(attempt: Attempt) -> dict[str, Any]:
    """The graph if it came with the claim: nothing but the progress shown depends on it."""
    try:
        return _graph.decode(attempt.assignment.graph or b"{}")
    except (msgspec.DecodeError, RecursionError):
        return {}


async def _fetch(attempt: Attempt, needs: Needs) -> dict[str, Any] | None:
    """The graph made unique; None when the verdict is known."""
    body = attempt.assignment.graph
    for pause_s in pauses(needs.settings.retry_s):
        if body is not None or attempt.over:
            break
        try:
            body = await needs.objects.get(attempt.assignment.graph_digest, attempt.token)
        except ObjectsUnavailableError:
            await asyncio.sleep(pause_s)
        except ObjectRefusedError:
            attempt.settle(Broken(failure=UNFETCHED))
    if body is None:
        return None
    try:
        return unique(_graph.decode(body), attempt.id)
    except (msgspec.DecodeError, RecursionError):
        attempt.settle(Broken(failure=NO_GRAPH))
        return None
