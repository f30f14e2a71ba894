"""The executor's line to dispatch. All it may use of NATS is what its permissions name; see server_config."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

import msgspec
from nats.aio.msg import Msg
from nats.errors import MaxPayloadError

from adapters.nats.connection import Connection, Unreachable, never_raising
from adapters.nats.dispatching import ERROR_HEADER
from adapters.nats.server_config import EXECUTOR_TRIALS
from domain.backend import bound_to
from domain.ids import AccountId, RunId
from services.ports.executing import DispatchUnavailableError
from services.ports.messages import (
    Assignment,
    Beat,
    BeatAnswer,
    ClaimRequest,
    HeldAttempt,
    NodesTold,
    OpenRequest,
    Progress,
    Report,
    ReportAnswer,
    Stock,
)
from services.ports.trying import Trial, Tried

logger = logging.getLogger(__name__)

ANSWER_S = 5.0
MAX_PREVIEW_BYTES = 256 * 1024
MAX_CLAIMS = 1024  # remembered; an executor holds a few
CLAIM_HEADER = "Comfyplus-Claim"
NODE_HEADER = "Comfyplus-Node"
"""Progress comes with the claim's token: a subject may be named by any executor."""

A = TypeVar("A")

_encode = msgspec.json.Encoder().encode
_ASSIGNMENT: msgspec.json.Decoder[Assignment | None] = msgspec.json.Decoder(Assignment | None)
_ASSIGNMENTS = msgspec.json.Decoder(list[Assignment])
_BEAT_ANSWER = msgspec.json.Decoder(BeatAnswer)
_REPORT_ANSWER = msgspec.json.Decoder(ReportAnswer)
_TRIAL = msgspec.json.Decoder(Trial)
_NOTHING = msgspec.json.Decoder(None)
_ATTEMPT = msgspec.json.Decoder(HeldAttempt)


class NatsDispatchLink:
    """DispatchLink over one connection, opened as this executor. Its owner closes the connection."""

    def __init__(self, connection: Connection, executor: str, *, answer_s: float = ANSWER_S) -> None:
        self._connection = connection
        self._client = connection.client
        self._executor = executor
        self._answer_s = answer_s
        self._claims: dict[RunId, str] = {}
        self._on_wake: list[Callable[[], None]] = []
        self._on_cancel: list[Callable[[HeldAttempt], None]] = []
        self._on_try: list[Callable[[Trial], None]] = []

    async def listen(self) -> None:
        """Begin to hear wake-ups and cancels."""
        await self._client.subscribe("runs.wake.>", cb=never_raising("runs.wake", self._woken))
        cancels = f"exec.{self._executor}.cancel"
        await self._client.subscribe(cancels, cb=never_raising(cancels, self._cancelled))
        if bound_to(self._executor) is None:
            tries = never_raising(EXECUTOR_TRIALS, self._tries)
            await self._client.subscribe(EXECUTOR_TRIALS, cb=tries)

    async def claim(self, request: ClaimRequest) -> Assignment | None:
        assignment = await self._ask("claim", _encode(request), _ASSIGNMENT)
        if assignment is not None:
            self._holds(assignment.run, assignment.token)
        return assignment

    async def open(self, request: OpenRequest) -> Sequence[Assignment]:
        assignments = await self._ask("open", _encode(request), _ASSIGNMENTS)
        for assignment in assignments:
            self._holds(assignment.run, assignment.token)
        return assignments

    async def beat(self, beat: Beat) -> BeatAnswer:
        return await self._ask("beat", _encode(beat), _BEAT_ANSWER)

    async def report(self, executor: str, report: Report) -> ReportAnswer:
        return await self._ask("report", _encode(report), _REPORT_ANSWER)

    async def stock(self, stock: Stock) -> None:
        await self._ask("stock", _encode(stock), _NOTHING)

    async def progress(self, owner: AccountId, progress: Progress) -> None:
        await self._tell(
            f"progress.{owner}.{progress.run}.step", _encode(progress), self._claim(progress.run)
        )

    async def nodes_told(self, owner: AccountId, told: NodesTold) -> None:
        await self._tell(f"progress.{owner}.{told.run}.nodes", _encode(told), self._claim(told.run))

    async def preview(self, owner: AccountId, run: RunId, image: bytes, media_type: str, node: str) -> None:
        if len(image) <= MAX_PREVIEW_BYTES:
            headers = {"Content-Type": media_type, NODE_HEADER: quote(node)} | self._claim(run)
            await self._tell(f"progress.{owner}.{run}.preview", image, headers)

    def on_wake(self, callback: Callable[[], None]) -> None:
        self._on_wake.append(callback)

    def on_cancel(self, callback: Callable[[HeldAttempt], None]) -> None:
        self._on_cancel.append(callback)

    def on_try(self, callback: Callable[[Trial], None]) -> None:
        self._on_try.append(callback)

    async def tried(self, tried: Tried) -> None:
        await self._tell(f"runs.tried.{self._executor}", _encode(tried), {})

    def _holds(self, run: RunId, token: str) -> None:
        self._claims.pop(run, None)
        self._claims[run] = token
        while len(self._claims) > MAX_CLAIMS:
            del self._claims[next(iter(self._claims))]

    def _claim(self, run: RunId) -> dict[str, str]:
        return {CLAIM_HEADER: self._claims.get(run, "")}

    async def _ask(self, verb: str, body: bytes, answer: msgspec.json.Decoder[A]) -> A:
        subject = f"runs.{verb}.{self._executor}"
        try:
            message = await self._client.request(subject, body, timeout=self._answer_s)
            if message.headers and ERROR_HEADER in message.headers:
                raise DispatchUnavailableError(f"{subject}: dispatch could not answer")
            return answer.decode(message.data)
        except (*Unreachable, MaxPayloadError, msgspec.MsgspecError) as error:
            raise DispatchUnavailableError(f"{subject}: {error!r}") from error

    async def _tell(self, subject: str, body: bytes, headers: dict[str, str]) -> None:
        if not self._connection.connected:
            return
        try:
            await self._client.publish(subject, body, headers=headers)
        except Unreachable as error:
            logger.info("progress lost", extra={"subject": subject, "reason": repr(error)})

    async def _woken(self, _: Msg) -> None:
        for callback in self._on_wake:
            callback()

    async def _cancelled(self, message: Msg) -> None:
        attempt = _ATTEMPT.decode(message.data)
        for callback in self._on_cancel:
            callback(attempt)

    async def _tries(self, message: Msg) -> None:
        trial = _TRIAL.decode(message.data)
        for callback in self._on_try:
            callback(trial)
