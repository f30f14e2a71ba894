"""`comfyplus objects`: files on disk and in S3."""

from typing import Annotated

import typer

from infra.command_line.given import running_settings

app = typer.Typer(help="Move files between disk and S3, and look after them.", no_args_is_help=True)


@app.command()
def move() -> None:
    """Move every file to where new ones go (COMFYPLUS_OBJECTS), while the system works. May be begun again."""
    from infra.objects_care import move as move_all

    raise typer.Exit(move_all(running_settings()))


@app.command()
def verify(
    quick: Annotated[bool, typer.Option(help="Look at the sizes only, and read nothing.")] = False,
) -> None:
    """Look whether every file of the log that was not deleted is there and whole. Exit code 1: not all are."""
    from infra.objects_care import verify as verify_all

    raise typer.Exit(verify_all(running_settings(), quick=quick))
