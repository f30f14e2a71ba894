"""What a command is given: its settings, and a way to refuse."""

import os
import sys
from typing import Annotated, NoReturn

import typer

from infra.settings import Settings, SettingsError

Roles = Annotated[
    list[str] | None, typer.Option("--role", help="Only for who has this role; may be repeated.")
]
Accounts = Annotated[
    list[str] | None, typer.Option("--account", help="Only for this one, by username or id; may be repeated.")
]


def given_settings() -> Settings:
    """Those of the environment."""
    try:
        return Settings.from_environment(os.environ)
    except SettingsError as error:
        fail(str(error))


def running_settings() -> Settings:
    """Our settings, completed by those of the whole that runs in the data folder."""
    settings = given_settings()
    from infra.up import RUNNING

    running = settings.data / RUNNING
    if settings.project_database_url is not None or not running.exists():
        return settings
    lines = dict(line.split("=", 1) for line in running.read_text().splitlines())
    return Settings.from_environment({**lines, **os.environ})


def fail(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    raise SystemExit(2)
