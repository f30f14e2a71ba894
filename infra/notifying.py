"""The parts of the errand that notifies accounts."""

from adapters.identity.secrets import ServerSecrets
from adapters.postgres.checkpoint import PostgresCheckpoint
from adapters.postgres.tail import PostgresTail
from commands.dispatcher import Dispatcher
from infra.settings import Settings, load_secret
from infra.wiring import needed, needs, pool
from services.notifying import Notifying


async def notifying(settings: Settings) -> None:
    """Runs until it is cancelled."""
    url = needed(settings.dispatch_database_url, "COMFYPLUS_DISPATCH_DATABASE_URL")
    app_url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    async with (
        PostgresTail(url) as tail,
        pool(url, size=1) as connections,
        needs(settings, ServerSecrets(load_secret(settings)), app_url) as wants,
    ):
        checkpoint = PostgresCheckpoint(connections, Notifying.name)
        await Notifying(tail, checkpoint, Dispatcher(wants)).run()
