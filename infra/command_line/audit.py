"""`comfyplus audit`: proof that nobody has rewritten the log."""

from pathlib import Path
from typing import Annotated

import typer

from infra.command_line.given import running_settings

app = typer.Typer(help="Prove that nobody has rewritten the log.", no_args_is_help=True)


@app.command()
def verify(
    first: Annotated[
        int | None, typer.Option("--from", min=1, help="Begin with the seal of this position.")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--to", min=1, help="End with the seal of this position.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint or a chain from earlier that must still hold.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The public key it must be signed with.")] = None,
) -> None:
    """Compute the chain of seals anew from the events. Exit code 1: broken, the first bad position is named."""
    from infra.audit import verify_log

    raise typer.Exit(verify_log(running_settings(), first, last, checkpoint, key))


@app.command()
def checkpoint() -> None:
    """Print a signed statement of how the log stands now, to be kept elsewhere."""
    from infra.audit import print_checkpoint

    raise typer.Exit(print_checkpoint(running_settings()))


@app.command(name="export")
def export_seals(file: Path) -> None:
    """Write the whole chain of seals with a signed checkpoint, to be checked by anybody."""
    from infra.audit import export

    raise typer.Exit(export(running_settings(), file))


@app.command()
def check(
    file: Path, key: Annotated[str | None, typer.Option(help="The public key it must be signed with.")] = None
) -> None:
    """Check a checkpoint or an exported chain by itself, without any server."""
    from infra.audit import check as check_file

    raise typer.Exit(check_file(file, key))


@app.command()
def acknowledge() -> None:
    """End the alarm of a broken chain, after you have looked into it."""
    from infra.audit import acknowledge as end_alarm

    raise typer.Exit(end_alarm(running_settings()))
