"""`comfyplus queue`: how it is, and steering it."""

from typing import Annotated
from uuid import UUID

import typer

from infra.command_line.given import Accounts, Roles, running_settings

app = typer.Typer(help="The queue: how it is, paused and resumed, its pools.")
Reason = Annotated[str, typer.Option(help="For those who read the log later.")]
Pool = Annotated[str, typer.Option(help="One pool; left out: all of them.")]


@app.callback(invoke_without_command=True)
def show_queue(context: typer.Context) -> None:
    """List the pools: what is under way, what waits, how runs have ended."""
    from infra.queue import show

    if context.invoked_subcommand is None:
        raise typer.Exit(show(running_settings()))


@app.command()
def pause(reason: Reason, pool: Pool = "") -> None:
    """Let nothing more be claimed. What is under way goes on; new runs are taken in and wait."""
    from infra.queue import pause as stop

    raise typer.Exit(stop(running_settings(), pool, reason))


@app.command()
def resume(reason: Reason, pool: Pool = "") -> None:
    """Go on."""
    from infra.queue import resume as go_on

    raise typer.Exit(go_on(running_settings(), pool, reason))


@app.command("pool")
def set_pool(
    name: str,
    reason: Reason,
    rank: Annotated[int, typer.Option(help="Pools with a higher one are served first.")] = 0,
    running: Annotated[int | None, typer.Option(min=0, help="So many runs under way at most.")] = None,
    queued: Annotated[int | None, typer.Option(min=0, help="So many runs waiting at most.")] = None,
    roles: Roles = None,
    accounts: Accounts = None,
) -> None:
    """Say how a pool is served, and who may name it. What is left out is not limited."""
    from domain.queue import PoolSettings
    from infra.models import restricted_to
    from infra.queue import set_pool as set_up

    settings = PoolSettings(rank=rank, running=running, queued=queued)
    audience = restricted_to(roles, accounts)
    raise typer.Exit(set_up(running_settings(), name, settings, audience, reason))


@app.command()
def clean(
    days: Annotated[float, typer.Option(min=0, max=36_600, help="Runs that have been over for so long.")],
    reason: Reason,
    state: Annotated[
        list[str] | None, typer.Option(help="succeeded, failed or cancelled; may be repeated; left out: all.")
    ] = None,
) -> None:
    """Put old runs away, everybody's, with their files. What happened to them stays in the log."""
    from domain.queue import FINISHED
    from infra.queue import clean as put_away

    raise typer.Exit(put_away(running_settings(), days, tuple(state or sorted(FINISHED)), reason))


@app.command("dead")
def show_dead() -> None:
    """List the runs that failed for want of a machine, after all their retries."""
    from infra.queue import show_dead as show

    raise typer.Exit(show(running_settings()))


@app.command()
def requeue(run: UUID, reason: Reason) -> None:
    """Put such a run back into the queue."""
    from infra.queue import requeue as put_back

    raise typer.Exit(put_back(running_settings(), run, reason))
