"""The parts of the errand that empties the trash."""

from datetime import timedelta

from adapters.identity.secrets import ServerSecrets
from adapters.postgres.tail import PostgresTail
from commands.dispatcher import Dispatcher
from infra.settings import Settings, load_secret
from infra.wiring import connect, needed, needs
from projections.trash import ThrownAway
from services.emptying import Emptying


async def emptying(settings: Settings) -> None:
    """Runs until it is cancelled."""
    app_url = needed(settings.app_database_url, "COMFYPLUS_APP_DATABASE_URL")
    project_url = needed(settings.project_database_url, "COMFYPLUS_PROJECT_DATABASE_URL")
    async with (
        PostgresTail(app_url) as tail,
        needs(settings, ServerSecrets(load_secret(settings)), app_url) as wants,
        ThrownAway(connect(project_url)) as trash,
    ):
        await Emptying(
            tail,
            trash,
            Dispatcher(wants),
            kept=timedelta(seconds=settings.trash_kept_s),
            every_s=settings.tidy_s,
        ).run()
