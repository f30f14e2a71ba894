"""The errand that rebuilds read models when somebody asks for it."""

from infra.settings import Settings
from infra.wiring import connect, needed, read_models
from projections.rebuilding import Rebuilding


async def rebuilding(settings: Settings) -> None:
    """Runs until it is cancelled."""
    url = needed(settings.project_database_url, "COMFYPLUS_PROJECT_DATABASE_URL")
    async with read_models(settings) as models:
        await Rebuilding(models, connect(url), grace_s=settings.keep_replaced_s).run()
