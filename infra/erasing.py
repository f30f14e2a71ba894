"""The parts of the errand that finishes erasures."""

from datetime import timedelta

from adapters.identity.secrets import ServerSecrets
from adapters.postgres.erasing import PostgresErasureLedger
from adapters.postgres.tail import PostgresTail
from commands.dispatcher import Dispatcher
from infra import objects
from infra.settings import Settings, load_secret
from infra.wiring import connect, needed, needs, pool
from projections.belongings import AccountBelongings
from services.erasing import Erasing


async def erasing(settings: Settings) -> None:
    """Runs until it is cancelled."""
    url = needed(settings.dispatch_database_url, "COMFYPLUS_DISPATCH_DATABASE_URL")
    app_url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    project_url = needed(settings.project_database_url, "COMFYPLUS_PROJECT_DATABASE_URL")
    secrets = ServerSecrets(load_secret(settings))
    async with (
        PostgresTail(url) as tail,
        pool(url, size=2) as connections,
        needs(settings, secrets, app_url) as wants,
        AccountBelongings(connect(project_url)) as belongings,
        objects.opened(settings) as stored,
    ):
        await Erasing(
            tail,
            PostgresErasureLedger(connections),
            belongings,
            stored,
            Dispatcher(wants),
            settle=timedelta(
                seconds=4 * settings.lease_s
            ),  # who has stored an object reports it within a lease
        ).run()
