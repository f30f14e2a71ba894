"""`comfyplus api`, `relay` ...: one process each, and `up`, all of them."""

from typing import Annotated

import typer

from infra.command_line.given import fail, given_settings, running_settings
from infra.settings import SettingsError

app = typer.Typer()


@app.command()
def api() -> None:
    """Serve HTTP."""
    _process("api")


@app.command()
def relay() -> None:
    """Publish the log to NATS."""
    _process("relay")


@app.command()
def project() -> None:
    """Keep the read models up to date."""
    _process("project")


@app.command()
def dispatch() -> None:
    """Keep the queue and answer executors."""
    _process("dispatch")


@app.command()
def errands() -> None:
    """Do what follows from events: webhooks, erasures, exports, audits."""
    _process("errands")


@app.command()
def execute() -> None:
    """Drive a ComfyUI."""
    _process("execute")


@app.command()
def sandbox(port: int = 8188, host: str = "127.0.0.1") -> None:
    """Play a ComfyUI that needs no models and no GPU."""
    from infra.sandbox.server import serve
    from infra.sandbox.settings import SandboxSettings

    serve(SandboxSettings(directory=given_settings().data / "sandbox", host=host, port=port))


@app.command()
def gateway(
    key: Annotated[
        str,
        typer.Option(envvar="COMFYPLUS_GATEWAY_KEY", help="An API key of the account, to read and to write."),
    ],
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Of this machine.")] = 8188,
    url: Annotated[str | None, typer.Option(help="Where ComfyUI Plus is; else as the settings say.")] = None,
) -> None:
    """Be one account's ComfyUI on a port of this machine, for programs that can send no key."""
    from infra.loopback.serve import NotServedError, serve

    try:
        serve(url or _own_url(), key, port, print)
    except NotServedError as error:
        fail(str(error))


@app.command()
def up() -> None:
    """Start everything, with embedded servers where the settings name none, and keep it running."""
    from infra.embedded.child import ChildFailedError
    from infra.embedded.lock import FolderTakenError
    from infra.up import up as keep_up

    try:
        keep_up(given_settings(), print)
    except (SettingsError, FolderTakenError, ChildFailedError) as error:
        fail(str(error))


@app.command()
def demo() -> None:
    """Tell the whole story in the terminal, from an empty folder to a picture with a history."""
    from infra.demo import demo as tell

    raise typer.Exit(tell(given_settings()))


def _own_url() -> str:
    settings = running_settings()
    return settings.public_url or f"http://{settings.host}:{settings.port}"


def _process(name: str) -> None:
    from infra.start import start

    start(name)
