"""The parts of the errand that puts old runs away."""

from adapters.identity.secrets import ServerSecrets
from adapters.postgres.checkpoint import PostgresCheckpoint
from adapters.postgres.tail import PostgresTail
from commands.dispatcher import Dispatcher
from infra.settings import Settings, load_secret
from infra.wiring import connect, needed, needs, pool
from projections.finished import FinishedRuns
from services.cleaning import Cleaning


async def cleaning(settings: Settings) -> None:
    """Runs until it is cancelled."""
    url = needed(settings.dispatch_database_url, "COMFYPLUS_DISPATCH_DATABASE_URL")
    app_url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    project_url = needed(settings.project_database_url, "COMFYPLUS_PROJECT_DATABASE_URL")
    async with (
        PostgresTail(url) as tail,
        pool(url, size=1) as connections,
        needs(settings, ServerSecrets(load_secret(settings)), app_url) as wants,
        FinishedRuns(connect(project_url)) as finished,
    ):
        checkpoint = PostgresCheckpoint(connections, Cleaning.name)
        await Cleaning(tail, checkpoint, finished, Dispatcher(wants)).run()
