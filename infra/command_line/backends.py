"""`comfyplus backends`: what is driven."""

from typing import Annotated

import typer

from infra.command_line.given import running_settings

app = typer.Typer(help="The ComfyUIs that are driven, registered while the whole runs.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="For those who read the log later.")]
Url = Annotated[str, typer.Option(help="Where its ComfyUI answers; of a provider: another than its own.")]
Endpoint = Annotated[str, typer.Option(help="Of a provider: its id there.")]
Credentials = Annotated[
    str,
    typer.Option(
        envvar="COMFYPLUS_BACKEND_CREDENTIALS",
        help="`basic USER:PASSWORD`, `bearer TOKEN` or `header NAME VALUE`; from the environment nobody sees it.",
    ),
]
Pool = Annotated[str, typer.Option(help="`shared`, or a name of your own.")]
Driver = Annotated[str, typer.Option(help="The executor that drives it; none: any that serves all.")]
Slots = Annotated[int, typer.Option(help="Prompts inside at once; 0: as its executor thinks.")]


@app.command(name="list")
def show() -> None:
    """List the registered backends."""
    from infra.backends import show as tell

    raise typer.Exit(tell(running_settings()))


@app.command()
def add(
    name: str,
    url: Url = "",
    kind: Annotated[str, typer.Option(help="comfyui or runpod.")] = "comfyui",
    endpoint: Endpoint = "",
    credentials: Credentials = "",
    pool: Pool = "shared",
    executor: Driver = "",
    slots: Slots = 0,
    reason: Reason = "",
) -> None:
    """Have a ComfyUI, or a provider's endpoint, driven from now on."""
    from commands.backends import RegisterBackend
    from infra.asking import ask
    from infra.backends import kind_named, opened_by

    wish = RegisterBackend(
        name=name,
        kind=kind_named(kind),
        url=url,
        endpoint=endpoint,
        credentials=opened_by(credentials),
        pool=pool,
        executor=executor,
        slots=slots,
        reason=reason,
    )
    raise typer.Exit(ask(running_settings(), wish, f"{name} is registered."))


@app.command()
def edit(
    name: str,
    url: Annotated[str | None, typer.Option(help="Where its ComfyUI answers.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Of a provider: its id there.")] = None,
    credentials: Credentials = "",
    pool: Annotated[str | None, typer.Option(help="`shared`, or a name of your own.")] = None,
    executor: Annotated[str | None, typer.Option(help="The executor that drives it.")] = None,
    slots: Annotated[int | None, typer.Option(help="Prompts inside at once.")] = None,
    no_credentials: Annotated[bool, typer.Option(help="Nothing opens it from now on.")] = False,
    reason: Reason = "",
) -> None:
    """Change what is said; the rest stays. What it runs it finishes first."""
    from commands.backends import ChangeBackend
    from infra.asking import ask
    from infra.backends import opened_by

    wish = ChangeBackend(
        name=name,
        url=url,
        endpoint=endpoint,
        credentials=opened_by(credentials),
        open=no_credentials,
        pool=pool,
        executor=executor,
        slots=slots,
        reason=reason,
    )
    raise typer.Exit(ask(running_settings(), wish, f"{name} is changed."))


@app.command()
def drain(name: str, reason: Reason) -> None:
    """Give it nothing new; what it has it finishes."""
    from commands.backends import DrainBackend
    from infra.asking import ask

    wish = DrainBackend(name=name, reason=reason)
    raise typer.Exit(ask(running_settings(), wish, f"{name} is given nothing new."))


@app.command()
def resume(name: str, reason: Reason) -> None:
    """Give it work again."""
    from commands.backends import ResumeBackend
    from infra.asking import ask

    wish = ResumeBackend(name=name, reason=reason)
    raise typer.Exit(ask(running_settings(), wish, f"{name} is given work again."))


@app.command()
def remove(name: str, reason: Reason) -> None:
    """Forget it. Runs that it has go on elsewhere."""
    from commands.backends import RemoveBackend
    from infra.asking import ask

    wish = RemoveBackend(name=name, reason=reason)
    raise typer.Exit(ask(running_settings(), wish, f"{name} is removed."))
