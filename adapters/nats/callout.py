"""Answers the NATS server when somebody with an API key wants to log in.

The server asks on a subject of the account AUTH, every API process answers as one queue group, and the answer is a
JWT that says which account the connection belongs to, what it may do, and until when.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from nats.aio.msg import Msg

from adapters.nats.connection import Connection, Unreachable, never_raising
from adapters.nats.nkey import Issuer, claims
from adapters.nats.server_config import FEED_API, FEED_STREAM, INTEG, MAX_INTEGRATOR_PAYLOAD_BYTES
from commands.ports import LogUnavailableError
from services.ports.integrating import Grant, LogIn

logger = logging.getLogger(__name__)

SUBJECT = "$SYS.REQ.USER.AUTH"
QUEUE = "callout"
CONCURRENCY = 16  # each asks Postgres; further ones wait, and the server gives up on them after a while
LIFETIME_S = 3600
MAX_SUBSCRIPTIONS = 32
REFUSED = "unknown, expired or revoked API key, or one that may not follow events"
LATER = "keys cannot be checked at the moment"


class NatsCallout:
    """Over one connection of AUTH's user. Its owner closes the connection."""

    def __init__(
        self,
        connection: Connection,
        issuer: Issuer,
        log_in: LogIn,
        now: Callable[[], datetime],
        lifetime_s: float = LIFETIME_S,
    ) -> None:
        self._connection = connection
        self._client = connection.client
        self._issuer = issuer
        self._log_in = log_in
        self._now = now
        self._lifetime_s = lifetime_s
        self._free = asyncio.Semaphore(CONCURRENCY)
        self._tasks: set[asyncio.Future[None]] = set()

    async def serve(self) -> None:
        """Returns when log-ins would be heard; they are, for as long as the connection is open."""
        await self._client.subscribe(SUBJECT, queue=QUEUE, cb=never_raising(SUBJECT, self._asked))
        await self._connection.settle()

    async def _asked(self, request: Msg) -> None:
        await self._free.acquire()
        task = asyncio.ensure_future(never_raising(SUBJECT, self._answer)(request))
        self._tasks.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        self._free.release()

    async def _answer(self, request: Msg) -> None:
        asked = claims(request.data.decode())["nats"]
        user, server = asked["user_nkey"], asked["server_id"]["id"]
        issued_at = int(self._now().timestamp())
        answer: dict[str, Any] = {"type": "authorization_response", "version": 2}
        try:
            grant = await self._log_in(_key(asked.get("connect_opts", {})))
            if grant is None:
                answer["error"] = REFUSED
            else:
                answer["jwt"] = self._issuer.sign(
                    subject=user,
                    audience=INTEG,
                    issued_at=issued_at,
                    exp=issued_at + int(self._lifetime_s),
                    name=grant.key.hex,
                    nats=permissions(grant),
                )
        except LogUnavailableError:
            answer["error"] = LATER
        token = self._issuer.sign(subject=user, audience=server, issued_at=issued_at, nats=answer)
        try:
            await self._client.publish(request.reply, token.encode())
        except Unreachable as error:
            logger.warning("no way to answer a log-in", extra={"reason": repr(error)})


def permissions(grant: Grant) -> dict[str, Any]:
    """The claims of a user: what NATS lets the connection send and hear."""
    api, stream = FEED_API, FEED_STREAM
    send = [
        subject
        for name in grant.consumers
        for subject in (
            *(f"{api}.CREATE.{stream}.{name}.{filter}" for filter in grant.filters),
            f"{api}.INFO.{stream}.{name}",
            f"{api}.DELETE.{stream}.{name}",
            f"{api}.RESET.{stream}.{name}",
            f"{api}.MSG.NEXT.{stream}.{name}",
            f"$JS.ACK.{stream}.{name}.>",
        )
    ]
    return {
        "type": "user",
        "version": 2,
        "pub": {"allow": send},
        "sub": {"allow": [f"{grant.inbox}.>"]},
        "subs": MAX_SUBSCRIPTIONS,
        "data": -1,
        "payload": MAX_INTEGRATOR_PAYLOAD_BYTES,
    }


def _key(options: dict[str, Any]) -> str:
    """The key comes as token, or as password of any user."""
    key = options.get("auth_token") or options.get("pass") or ""
    return key if isinstance(key, str) else ""
