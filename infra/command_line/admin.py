"""`comfyplus admin`: who may administer the whole."""

from typing import Annotated

import typer

from infra.command_line.given import running_settings

app = typer.Typer(help="Who may administer the whole.", no_args_is_help=True)


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
