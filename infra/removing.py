"""The parts of the errand that removes what deleted runs and inputs have left behind."""

from datetime import timedelta

from adapters.postgres.removing import PostgresRemovalLedger
from adapters.postgres.tail import PostgresTail
from infra import objects
from infra.settings import Settings
from infra.wiring import connect, needed, now, pool
from projections.belongings import AccountBelongings
from services.removing import Removing


async def removing(settings: Settings) -> None:
    """Runs until it is cancelled."""
    url = needed(settings.dispatch_database_url, "COMFYPLUS_DISPATCH_DATABASE_URL")
    project_url = needed(settings.project_database_url, "COMFYPLUS_PROJECT_DATABASE_URL")
    settle = timedelta(seconds=4 * settings.lease_s)  # who has stored an object reports it within a lease
    async with (
        PostgresTail(url) as tail,
        pool(url, size=2) as connections,
        AccountBelongings(connect(project_url)) as belongings,
        objects.opened(settings) as stored,
    ):
        ledger = PostgresRemovalLedger(connections)
        await Removing(tail, ledger, belongings, stored, now, settle=settle).run()
