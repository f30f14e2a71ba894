"""The parts of the errand that lets outputs go which fall under a rule."""

from adapters.identity.secrets import ServerSecrets
from adapters.postgres.tail import PostgresTail
from commands.dispatcher import Dispatcher
from infra.settings import Settings, load_secret
from infra.wiring import connect, needed, needs, retention
from projections.expiry import OutputExpiry
from services.keeping import Keeping


async def keeping(settings: Settings) -> None:
    """Runs until it is cancelled."""
    url = needed(settings.dispatch_database_url, "COMFYPLUS_DISPATCH_DATABASE_URL")
    app_url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    project_url = needed(settings.project_database_url, "COMFYPLUS_PROJECT_DATABASE_URL")
    async with (
        PostgresTail(url) as tail,
        needs(settings, ServerSecrets(load_secret(settings)), app_url) as wants,
        OutputExpiry(connect(project_url)) as expiry,
    ):
        await Keeping(
            tail,
            expiry,
            Dispatcher(wants),
            default=retention(settings),
            every_s=settings.retention_every_s,
        ).run()
