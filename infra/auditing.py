"""The audit's parts: those of the errand, and those of the HTTP door."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from adapters.identity.signing import Ed25519Signer
from adapters.postgres.seals import PostgresAudits, PostgresSeals
from adapters.postgres.tail import PostgresTail
from infra.settings import Settings, load_audit_key
from infra.wiring import needed, now
from services.auditing import Auditing, Pace, Shown


async def auditing(settings: Settings) -> None:
    """Runs until it is cancelled."""
    url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    pace = Pace(every_s=settings.audit_every_s, events_s=settings.audit_events_s)
    async with PostgresTail(url) as tail:
        with closing(PostgresSeals(url)) as log, closing(PostgresAudits(url)) as audits:
            await Auditing(tail, log, audits, now, pace).run()


@asynccontextmanager
async def shown(settings: Settings, url: str) -> AsyncIterator[Shown]:
    with closing(PostgresSeals(url)) as log, closing(PostgresAudits(url)) as audits:
        yield Shown(log, audits, lambda: Ed25519Signer(load_audit_key(settings)), now)
