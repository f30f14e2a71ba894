"""`comfyplus admin`: who may administer the whole, and how much of it an account may have."""

from typing import Annotated

import typer

from infra.command_line.given import running_settings

app = typer.Typer(help="Who may administer the whole, and what others may have of it.", no_args_is_help=True)


@app.command()
def create(
    username: str,
    email: str,
    password: Annotated[
        str, typer.Option(envvar="COMFYPLUS_ADMIN_PASSWORD", prompt=True, hide_input=True, help="Asked for.")
    ],
) -> None:
    """Make an account that administers the whole: the first one, say."""
    from infra.admin import create as make

    raise typer.Exit(make(running_settings(), username, email, password))


@app.command()
def suspend(
    username: str, reason: Annotated[str, typer.Option(help="They are told when they log in.")]
) -> None:
    """Keep somebody out: logged out everywhere at once, their runs wait."""
    from infra.admin import suspend as keep_out

    raise typer.Exit(keep_out(running_settings(), username, reason, suspended=True))


@app.command()
def reinstate(
    username: str, reason: Annotated[str, typer.Option(help="For those who read the log later.")]
) -> None:
    """Let somebody in again."""
    from infra.admin import suspend as keep_out

    raise typer.Exit(keep_out(running_settings(), username, reason, suspended=False))


@app.command()
def grant(username: Annotated[str, typer.Argument(help="Somebody who has registered.")]) -> None:
    """Make somebody an administrator."""
    from domain.account import Role
    from infra.admin import give_role

    raise typer.Exit(give_role(running_settings(), username, Role.ADMIN))


@app.command()
def revoke(username: str) -> None:
    """Make an administrator a member again."""
    from domain.account import Role
    from infra.admin import give_role

    raise typer.Exit(give_role(running_settings(), username, Role.MEMBER))


@app.command()
def limits(
    username: Annotated[str, typer.Argument(help="Somebody who has registered.")],
    reason: Annotated[str, typer.Option(help="For those who read the log later.")],
    weight: Annotated[float, typer.Option(help="2: twice as much service as others.")] = 1.0,
    running: Annotated[int | None, typer.Option(min=0, help="So many runs under way at most.")] = None,
    queued: Annotated[int | None, typer.Option(min=0, help="So many runs waiting at most.")] = None,
    runs_per_day: Annotated[int | None, typer.Option(min=0, help="So many runs a day at most.")] = None,
    run_s_per_day: Annotated[int | None, typer.Option(min=0, help="So many seconds of runs a day.")] = None,
) -> None:
    """Give somebody other limits than all have. What is left out is as for all."""
    from domain.limits import Allowance
    from infra.queue import set_limits

    allowance = Allowance(
        running=running, queued=queued, runs_per_day=runs_per_day, run_s_per_day=run_s_per_day
    )
    raise typer.Exit(set_limits(running_settings(), username, allowance, weight, reason))


@app.command()
def pool(
    username: Annotated[str, typer.Argument(help="Somebody who has registered.")],
    reason: Annotated[str, typer.Option(help="For those who read the log later.")],
    name: Annotated[str | None, typer.Argument(help="Left out: everybody's.")] = None,
) -> None:
    """Say in which pool somebody's runs wait that name none."""
    from infra.queue import assign_pool

    raise typer.Exit(assign_pool(running_settings(), username, name, reason))
