"""`comfyplus gate`: which nodes and sizes are let through to backends."""

from typing import Annotated

import typer

from infra.command_line.given import running_settings

app = typer.Typer(help="Which nodes and sizes are let through to backends.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="For those who read the log later.")]
Nodes = Annotated[list[str], typer.Argument(help="Node classes, as ComfyUI calls them.", metavar="NODE...")]


@app.command()
def show() -> None:
    """Show the rules."""
    from infra.gate import show as tell

    raise typer.Exit(tell(running_settings()))


@app.command()
def allow(nodes: Nodes, reason: Reason) -> None:
    """Let nodes through, wherever they come from. The other rules stay."""
    from commands.gate import ChangeGate
    from infra.asking import ask

    wish = ChangeGate(allow=tuple(nodes), reason=reason)
    raise typer.Exit(ask(running_settings(), wish, "They are let through."))


@app.command()
def deny(nodes: Nodes, reason: Reason) -> None:
    """Let nodes through no more, ComfyUI's own as well."""
    from commands.gate import ChangeGate
    from infra.asking import ask

    wish = ChangeGate(deny=tuple(nodes), reason=reason)
    raise typer.Exit(ask(running_settings(), wish, "They are let through no more."))


@app.command()
def forget(nodes: Nodes, reason: Reason) -> None:
    """Neither allow nor deny them by name: ComfyUI's own are let through, others are not."""
    from commands.gate import ChangeGate
    from infra.asking import ask

    wish = ChangeGate(forget=tuple(nodes), reason=reason)
    raise typer.Exit(ask(running_settings(), wish, "Nothing is said of them any more."))


@app.command()
def limit(
    reason: Reason,
    nodes: Annotated[int | None, typer.Option(help="Of one graph.")] = None,
    side: Annotated[int | None, typer.Option(help="Of a picture, in pixels.")] = None,
    pixels: Annotated[int | None, typer.Option(help="Of all pictures that one node makes.")] = None,
    batch: Annotated[int | None, typer.Option(help="Of one node.")] = None,
) -> None:
    """Say how large graphs and pictures may be. What is left out stays."""
    from commands.gate import ChangeGate
    from infra.asking import ask

    said = {"nodes": nodes, "side": side, "pixels": pixels, "batch": batch}
    limits = {name: value for name, value in said.items() if value is not None}
    if not limits:
        raise typer.BadParameter("Say at least one of --nodes, --side, --pixels, --batch.")
    wish = ChangeGate(limits=limits, reason=reason)
    raise typer.Exit(ask(running_settings(), wish, "These limits hold."))
