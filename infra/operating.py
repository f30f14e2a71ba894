"""The database for commands of operators, whether the whole runs at the moment or not."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from infra.embedded.child import ChildFailedError, start, stop, wait_until_ready
from infra.embedded.lock import FolderTakenError, folder_lock
from infra.embedded.postgres import prepare_postgres
from infra.settings import Settings


@contextmanager
def owner_database(settings: Settings) -> Iterator[str]:
    """The owner's URL. An embedded server that does not run is started for as long. Raises ChildFailedError."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    if not (settings.data / "postgres" / "PG_VERSION").exists():
        raise ChildFailedError(
            f"There is no database in {settings.data}, and COMFYPLUS_DATABASE_URL names none."
        )
    with ExitStack() as stack:
        try:
            url = stack.enter_context(stopped_database(settings))
        except FolderTakenError:
            url = prepare_postgres(settings.data, _log(settings)).url
        yield url


@contextmanager
def stopped_database(settings: Settings) -> Iterator[str]:
    """The same, while nobody else works in the data folder. Raises FolderTakenError, ChildFailedError."""
    with folder_lock(settings.data):
        if settings.database_url is not None:
            yield settings.database_url
            return
        server = prepare_postgres(settings.data, _log(settings))
        process = start(server.child)
        try:
            wait_until_ready((server.child, process))
            yield server.url
        finally:
            stop(server.child, process)


def _log(settings: Settings) -> Path:
    return settings.data / "log" / "postgres.log"
