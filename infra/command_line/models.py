"""`comfyplus models`: what is said of models, and who may use them."""

from typing import Annotated
from uuid import UUID

import typer

from infra.command_line.given import Accounts, Roles, running_settings

app = typer.Typer(help="What is said of models, and who may use them.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="For those who read the log later.")]
Type = Annotated[str, typer.Argument(help="The models folder that it lies in, as `checkpoints`.")]
Name = Annotated[str, typer.Argument(help="As a graph names it.")]
Id = Annotated[UUID, typer.Argument(help="As `comfyplus models list` shows it.")]
Words = Annotated[list[str] | None, typer.Option("--trigger", help="A word that wakes it; may be repeated.")]


@app.command("list")
def show() -> None:
    """List the registered models."""
    from infra.models import show as tell

    raise typer.Exit(tell(running_settings()))


@app.command()
def add(
    type: Type,
    name: Name,
    reason: Reason,
    description: str = "",
    base_model: Annotated[str, typer.Option(help="The family that it belongs to.")] = "",
    triggers: Words = None,
    active: bool = True,
    roles: Roles = None,
    accounts: Accounts = None,
) -> None:
    """Say something of a model, or keep it from others."""
    from commands.models import RegisterModel
    from infra.asking import ask
    from infra.models import restricted_to

    wish = RegisterModel(
        type=type,
        name=name,
        description=description,
        base_model=base_model,
        trigger_words=tuple(triggers or ()),
        active=active,
        audience=restricted_to(roles, accounts),
        reason=reason,
    )
    raise typer.Exit(ask(running_settings(), wish, "It is registered."))


@app.command()
def edit(
    model: Id,
    reason: Reason,
    description: str | None = None,
    base_model: Annotated[str | None, typer.Option(help="The family that it belongs to.")] = None,
    triggers: Words = None,
    active: bool | None = None,
    roles: Roles = None,
    accounts: Accounts = None,
    everybody: Annotated[bool, typer.Option("--everybody", help="It is for everybody from now on.")] = False,
) -> None:
    """Change what is said; the rest stays."""
    from commands.models import ChangeModel
    from domain.ids import ModelId
    from infra.asking import ask
    from infra.models import restricted_to

    wish = ChangeModel(
        model=ModelId(model),
        description=description,
        base_model=base_model,
        trigger_words=None if triggers is None else tuple(triggers),
        active=active,
        audience=restricted_to(roles, accounts),
        everybody=everybody,
        reason=reason,
    )
    raise typer.Exit(ask(running_settings(), wish, "It is changed."))


@app.command()
def remove(model: Id, reason: Reason) -> None:
    """Say nothing of it any more. Where backends have it, it is for everybody then."""
    from commands.models import RemoveModel
    from domain.ids import ModelId
    from infra.asking import ask

    raise typer.Exit(
        ask(running_settings(), RemoveModel(model=ModelId(model), reason=reason), "It is removed.")
    )
