"""Who is connected to the NATS servers with an API key, asked and ended as the user of the account SYS."""

import asyncio
import logging
from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from adapters.nats.connection import Connection, Unreachable
from adapters.nats.server_config import INTEG
from domain.ids import ApiKeyId
from services.ports.integrating import Connected, NatsAwayError

logger = logging.getLogger(__name__)

FIRST_ANSWER_S = 2.0
MORE_ANSWERS_S = 0.2  # of the other servers of a cluster
PAGE = 1024
KICK_S = 2.0

_ASK = {"auth": True, "acc": INTEG, "limit": PAGE}


class _Connection(Struct):
    cid: int
    authorized_user: str = ""


class _Page(Struct):
    server_id: str
    total: int = 0
    offset: int = 0
    connections: list[_Connection] | None = None


class _Answer(Struct):
    data: _Page | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class NatsConnections:
    """The Connections port. Its owner closes the connection."""

    def __init__(self, connection: Connection) -> None:
        self._client = connection.client

    async def open(self) -> Sequence[Connected]:
        found: list[Connected] = []
        offset, more = 0, True
        while more:
            pages = await self._ask(offset)
            found += [_connected(page, each) for page in pages for each in page.connections or ()]
            offset += PAGE
            more = any(page.total > offset for page in pages)
        return found

    async def kick(self, connected: Connected) -> None:
        try:
            body = msgspec.json.encode({"cid": connected.number})
            await self._client.request(f"$SYS.REQ.SERVER.{connected.server}.KICK", body, timeout=KICK_S)
        except Unreachable as error:
            raise NatsAwayError(repr(error)) from error

    async def _ask(self, offset: int) -> list[_Page]:
        """A page of each server."""
        answers: asyncio.Queue[_Page] = asyncio.Queue()

        async def answered(message: Msg) -> None:
            if message.data and (page := _decode(message.data).data) is not None:
                answers.put_nowait(page)

        inbox, pages = self._client.new_inbox(), list[_Page]()
        try:
            subscription = await self._client.subscribe(inbox, cb=answered)
            try:
                body = msgspec.json.encode(_ASK | {"offset": offset})
                await self._client.publish("$SYS.REQ.SERVER.PING.CONNZ", body, reply=inbox)
                while True:
                    async with asyncio.timeout(MORE_ANSWERS_S if pages else FIRST_ANSWER_S):
                        pages.append(await answers.get())
            except TimeoutError:
                if not pages:
                    raise NatsAwayError("no server tells who is connected") from None
                return pages
            finally:
                await subscription.unsubscribe()
        except Unreachable as error:
            raise NatsAwayError(repr(error)) from error


def _connected(page: _Page, connection: _Connection) -> Connected:
    try:
        key = ApiKeyId(UUID(hex=connection.authorized_user))
    except ValueError:
        key = None  # nobody's whom we have let in
    return Connected(server=page.server_id, number=connection.cid, key=key)
