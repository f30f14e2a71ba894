"""Every command in memory: real decisions, a real catalogue, a clock that tests move."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from argon2 import PasswordHasher
from msgspec import Struct

from adapters.identity.passwords import Argon2Passwords
from adapters.identity.secrets import ServerSecrets
from adapters.identity.vault import SecretVault
from adapters.memory.accounts import MemoryAccounts
from adapters.memory.admissions import MemoryAdmissions
from adapters.memory.api_keys import MemoryApiKeys
from adapters.memory.attempts import MemoryAttempts
from adapters.memory.avatars import MemoryAvatars
from adapters.memory.backend_access import MemoryBackendAccess
from adapters.memory.contents import MemoryContents
from adapters.memory.erasures import MemoryErasures
from adapters.memory.factors import MemoryFactors
from adapters.memory.log import MemoryLog
from adapters.memory.mails import MemoryMails
from adapters.memory.sign_ons import MemorySignOns
from adapters.memory.webhooks import MemoryWebhooks
from commands.dispatcher import Dispatcher
from commands.known_backends import KnownBackends
from commands.needs import Command, Limits, Needs
from commands.ports import RequestKey
from commands.streams import Context, Streams
from domain.event import Event
from domain.ids import Actor, Position

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = b"only for tests, but long enough."
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # for tests: real, but worth nothing
GRAPH: dict[str, Any] = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["4", 0]}},
}
OTHER_GRAPH: dict[str, Any] = {"9": {"class_type": "SaveImage", "inputs": {}}}


class Ground(Struct):
    log: MemoryLog
    contents: MemoryContents
    accounts: MemoryAccounts
    vault: SecretVault
    erasures: MemoryErasures
    webhooks: MemoryWebhooks
    backend_access: MemoryBackendAccess
    admissions: MemoryAdmissions
    mails: MemoryMails
    dispatcher: Dispatcher
    start: datetime = NOON
    elapsed: timedelta = timedelta()

    async def wish(self, command: Command, *, actor: str = "somebody", key: str | None = None) -> Any:
        request = RequestKey(Actor(actor), key, repr(command).encode()) if key else None
        context = Context(actor=Actor(actor), correlation=uuid4(), key=request)
        return await self.dispatcher.run(command, context)

    async def happened(self, after: int = 0) -> list[Event]:
        """Every event above a position."""
        found = [await self.log.at(row.position) for row in await self.log.rows(Position(after), 10_000)]
        return [each.event for each in found if each is not None]

    async def told(self, stream: UUID) -> list[str]:
        """The topics of a stream."""
        return [row.topic for row in await self.log.rows(Position(0), 10_000) if row.stream == stream]

    def wait(self, elapsed: timedelta) -> None:
        self.elapsed += elapsed

    def now(self) -> datetime:
        return self.start + self.elapsed


def make_ground(start: datetime = NOON) -> Ground:
    def now() -> datetime:
        return made.now()

    log, contents, accounts = MemoryLog(now), MemoryContents(), MemoryAccounts()
    vault, erasures = SecretVault(SECRET, accounts.keys), MemoryErasures()
    webhooks, admissions = MemoryWebhooks(log), MemoryAdmissions(log, now)
    backend_access, mails = MemoryBackendAccess(), MemoryMails()
    streams = Streams(log)
    needs = Needs(
        streams=streams,
        contents=contents,
        accounts=accounts,
        avatars=MemoryAvatars(accounts),
        api_keys=MemoryApiKeys(accounts),
        passwords=Argon2Passwords(QUICK),
        attempts=MemoryAttempts(),
        factors=MemoryFactors(),
        mails=mails,
        sign_ons=MemorySignOns(),
        secrets=ServerSecrets(SECRET),
        vault=vault,
        erasures=erasures,
        admissions=admissions,
        webhooks=webhooks,
        backend_access=backend_access,
        backends=KnownBackends(streams, contents, backend_access, now),
        now=now,
        new_id=uuid4,
        new_seed=count(1000).__next__,
        limits=Limits(graph_bytes=10_000),
    )
    state = (webhooks, backend_access, admissions, mails)
    made = Ground(log, contents, accounts, vault, erasures, *state, Dispatcher(needs), start=start)
    return made
