"""`comfyplus replay`, `stream`, `projections`, `parked`: looking at what was folded, and folding it anew."""

from typing import Annotated
from uuid import UUID

import typer

from infra.command_line.given import fail, running_settings

app = typer.Typer()


@app.command()
def replay(
    name: Annotated[str | None, typer.Argument(help="The read model, for example `gallery`.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Every one, one after the other.")] = False,
) -> None:
    """Build a read model anew from the log, beside the live one, and swap."""
    from infra.replay import replay as build
    from projections.catalogue import PROJECTIONS

    if all == (name is not None):
        fail("Name one read model, or say --all.")
    raise typer.Exit(build(running_settings(), [name] if name is not None else list(PROJECTIONS)))


@app.command()
def stream(
    id: Annotated[UUID, typer.Argument(help="Of a workflow, a run, an account ...")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Tell what happened to one thing, event by event, and what it was after each."""
    from infra.stream import stream as tell

    raise typer.Exit(tell(running_settings(), id, as_json=as_json))


projections = typer.Typer(help="The read models: how they are, and back to the build before.")
app.add_typer(projections, name="projections")


@projections.callback(invoke_without_command=True)
def show_projections(context: typer.Context) -> None:
    """List the read models: position, lag, version, state, size, builds."""
    from infra.operate import show_projections as show

    if context.invoked_subcommand is None:
        raise typer.Exit(show(running_settings()))


@projections.command()
def rollback(name: str) -> None:
    """Lead readers back to the build before the live one, once it is up to date."""
    from infra.replay import replay as build
    from projections.jobs import Kind

    raise typer.Exit(build(running_settings(), [name], Kind.ROLLBACK))


parked = typer.Typer(help="Events that read models do not take in.")
app.add_typer(parked, name="parked")
Reason = Annotated[str, typer.Option(help="For those who read the log later.")]


@parked.callback(invoke_without_command=True)
def show_parked(context: typer.Context) -> None:
    """List the events that read models do not take in, and why."""
    from infra.operate import show_parked as show

    if context.invoked_subcommand is None:
        raise typer.Exit(show(running_settings()))


@parked.command("show")
def show_event(name: str, position: int) -> None:
    """Show one of them as it is stored."""
    from infra.operate import show_event as show

    raise typer.Exit(show(running_settings(), name, position))


@parked.command()
def retry(name: str, position: int) -> None:
    """Try it once more, now."""
    from infra.operate import retry as again

    raise typer.Exit(again(running_settings(), name, position))


@parked.command()
def skip(name: str, position: int, reason: Reason) -> None:
    """Leave it out, now and in every later build. The decision goes into the log."""
    from infra.operate import skip as leave_out

    raise typer.Exit(leave_out(running_settings(), name, position, reason))


@parked.command()
def withdraw(name: str, position: int, reason: Reason) -> None:
    """Take an event in again that was left out."""
    from infra.operate import withdraw as take_in

    raise typer.Exit(take_in(running_settings(), name, position, reason))
