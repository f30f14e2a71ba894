"""`comfyplus migrate`, `nats-config`, `export`: what other servers and other programs need of us."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from infra.command_line.given import fail, given_settings


class Contract(StrEnum):
    OPENAPI = "openapi"
    ASYNCAPI = "asyncapi"
    SCHEMAS = "schemas"


app = typer.Typer()


@app.command()
def migrate() -> None:
    """Bring the database at COMFYPLUS_DATABASE_URL to this version's tables."""
    from infra.migrate import ROLES
    from infra.migrate import migrate as bring_up
    from infra.settings import load_secret, role_password

    settings = given_settings()
    if settings.database_url is None:
        fail("COMFYPLUS_DATABASE_URL is not set. `comfyplus up` migrates its embedded server by itself.")
    secret = load_secret(settings)
    applied = bring_up(str(settings.database_url), {role: role_password(secret, role) for role in ROLES})
    print("\n".join(applied) or "Nothing to do.")


@app.command()
def nats_config(
    listen: Annotated[str, typer.Option(help="The address that the server listens on.")] = "0.0.0.0",
    port: Annotated[int, typer.Option(help="Its port.")] = 4222,
    store: Annotated[Path, typer.Option(help="Where it keeps its streams.")] = Path("/data"),
    executor: Annotated[list[str] | None, typer.Option(help="An executor's name; may be repeated.")] = None,
) -> None:
    """Print the configuration of a NATS server of your own. It holds passwords, made from the secret."""
    from infra.nats_users import configuration

    settings = given_settings()
    try:
        print(configuration(settings, listen, port, store, executor or [settings.executor]))
    except ValueError as error:
        fail(str(error))


@app.command()
def export(
    what: Annotated[Contract, typer.Argument(help="Which contract.")],
    to: Annotated[Path | None, typer.Option(help="A file, for `schemas` a folder; left out: print.")] = None,
) -> None:
    """Write the contracts with the outside: HTTP, events, and the form of each event."""
    from infra.contracts import export as write

    try:
        print(write(what.value, to))
    except OSError as error:
        fail(str(error))
