"""`comfyplus`: one command for each process, for all of them, and for who operates them."""

import importlib
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn
from uuid import UUID

import typer

from infra.settings import Settings, SettingsError


class Contract(StrEnum):
    OPENAPI = "openapi"
    ASYNCAPI = "asyncapi"
    SCHEMAS = "schemas"


app = typer.Typer(
    help="The self-hosted platform in front of ComfyUI.", no_args_is_help=True, add_completion=False
)


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

    serve(SandboxSettings(directory=_settings().data / "sandbox", host=host, port=port))


@app.command()
def up() -> None:
    """Start everything, with embedded servers where the settings name none, and keep it running."""
    from infra.embedded.child import ChildFailedError
    from infra.embedded.lock import FolderTakenError
    from infra.up import up as keep_up

    try:
        keep_up(_settings(), print)
    except (SettingsError, FolderTakenError, ChildFailedError) as error:
        _fail(str(error))


@app.command()
def migrate() -> None:
    """Bring the database at COMFYPLUS_DATABASE_URL to this version's tables."""
    from infra.migrate import ROLES
    from infra.migrate import migrate as bring_up
    from infra.settings import load_secret, role_password

    settings = _settings()
    if settings.database_url is None:
        _fail("COMFYPLUS_DATABASE_URL is not set. `comfyplus up` migrates its embedded server by itself.")
    secret = load_secret(settings)
    applied = bring_up(str(settings.database_url), {role: role_password(secret, role) for role in ROLES})
    print("\n".join(applied) or "Nothing to do.")


@app.command()
def replay(
    name: Annotated[str | None, typer.Argument(help="The read model, for example `gallery`.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Every one, one after the other.")] = False,
) -> None:
    """Build a read model anew from the log, beside the live one, and swap."""
    from infra.replay import replay as build
    from projections.catalogue import PROJECTIONS

    if all == (name is not None):
        _fail("Name one read model, or say --all.")
    raise typer.Exit(build(_running_settings(), [name] if name is not None else list(PROJECTIONS)))


@app.command()
def stream(
    id: Annotated[UUID, typer.Argument(help="Of a workflow, a run, an account ...")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Tell what happened to one thing, event by event, and what it was after each."""
    from infra.stream import stream as tell

    raise typer.Exit(tell(_running_settings(), id, as_json=as_json))


projections = typer.Typer(help="The read models: how they are, and back to the build before.")
app.add_typer(projections, name="projections")


@projections.callback(invoke_without_command=True)
def show_projections(context: typer.Context) -> None:
    """List the read models: position, lag, version, state, size, builds."""
    from infra.operate import show_projections as show

    if context.invoked_subcommand is None:
        raise typer.Exit(show(_running_settings()))


@projections.command()
def rollback(name: str) -> None:
    """Lead readers back to the build before the live one, once it is up to date."""
    from infra.replay import replay as build
    from projections.jobs import Kind

    raise typer.Exit(build(_running_settings(), [name], Kind.ROLLBACK))


parked = typer.Typer(help="Events that read models do not take in.")
app.add_typer(parked, name="parked")
Reason = Annotated[str, typer.Option(help="For those who read the log later.")]


@parked.callback(invoke_without_command=True)
def show_parked(context: typer.Context) -> None:
    """List the events that read models do not take in, and why."""
    from infra.operate import show_parked as show

    if context.invoked_subcommand is None:
        raise typer.Exit(show(_running_settings()))


@parked.command("show")
def show_event(name: str, position: int) -> None:
    """Show one of them as it is stored."""
    from infra.operate import show_event as show

    raise typer.Exit(show(_running_settings(), name, position))


@parked.command()
def retry(name: str, position: int) -> None:
    """Try it once more, now."""
    from infra.operate import retry as again

    raise typer.Exit(again(_running_settings(), name, position))


@parked.command()
def skip(name: str, position: int, reason: Reason) -> None:
    """Leave it out, now and in every later build. The decision goes into the log."""
    from infra.operate import skip as leave_out

    raise typer.Exit(leave_out(_running_settings(), name, position, reason))


@parked.command()
def withdraw(name: str, position: int, reason: Reason) -> None:
    """Take an event in again that was left out."""
    from infra.operate import withdraw as take_in

    raise typer.Exit(take_in(_running_settings(), name, position, reason))


admin = typer.Typer(help="Who may administer the whole.", no_args_is_help=True)
app.add_typer(admin, name="admin")


@admin.command()
def grant(username: Annotated[str, typer.Argument(help="Somebody who has registered.")]) -> None:
    """Make somebody an administrator."""
    from domain.account import Role
    from infra.admin import give_role

    raise typer.Exit(give_role(_running_settings(), username, Role.ADMIN))


@admin.command()
def revoke(username: str) -> None:
    """Make an administrator a member again."""
    from domain.account import Role
    from infra.admin import give_role

    raise typer.Exit(give_role(_running_settings(), username, Role.MEMBER))


audit = typer.Typer(help="Prove that nobody has rewritten the log.", no_args_is_help=True)
app.add_typer(audit, name="audit")


@audit.command()
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

    raise typer.Exit(verify_log(_running_settings(), first, last, checkpoint, key))


@audit.command()
def checkpoint() -> None:
    """Print a signed statement of how the log stands now, to be kept elsewhere."""
    from infra.audit import print_checkpoint

    raise typer.Exit(print_checkpoint(_running_settings()))


@audit.command(name="export")
def export_seals(file: Path) -> None:
    """Write the whole chain of seals with a signed checkpoint, to be checked by anybody."""
    from infra.audit import export

    raise typer.Exit(export(_running_settings(), file))


@audit.command()
def check(
    file: Path, key: Annotated[str | None, typer.Option(help="The public key it must be signed with.")] = None
) -> None:
    """Check a checkpoint or an exported chain by itself, without any server."""
    from infra.audit import check as check_file

    raise typer.Exit(check_file(file, key))


@audit.command()
def acknowledge() -> None:
    """End the alarm of a broken chain, after you have looked into it."""
    from infra.audit import acknowledge as end_alarm

    raise typer.Exit(end_alarm(_running_settings()))


PASSPHRASE_FILE = Annotated[
    Path | None, typer.Option(help="A file whose first line is the passphrase.", exists=True, dir_okay=False)
]


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A folder to be made, or a file that ends in .tar.")],
    with_objects: Annotated[bool, typer.Option(help="Copy outputs and other files too.")] = False,
    passphrase_file: PASSPHRASE_FILE = None,
) -> None:
    """Copy everything that cannot be made again, as it is at one moment. The system may go on working."""
    from infra.backup.make import backup as make

    passphrase = _passphrase(passphrase_file)
    raise typer.Exit(make(_running_settings(), target, passphrase, with_objects=with_objects))


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A backup: a folder or a .tar file.")],
    erasures: Annotated[Path | None, typer.Option(help="The list of erased accounts.")] = None,
    no_erasures: Annotated[bool, typer.Option("--no-erasures", help="Nobody was ever erased.")] = False,
    passphrase_file: PASSPHRASE_FILE = None,
) -> None:
    """Bring a backup back into an empty system that does not run."""
    from infra.backup.restore import restore as bring_back

    passphrase = _passphrase(passphrase_file)
    raise typer.Exit(bring_back(_settings(), source, passphrase, erasures=erasures, no_erasures=no_erasures))


@app.command()
def nats_config(
    listen: Annotated[str, typer.Option(help="The address that the server listens on.")] = "0.0.0.0",
    port: Annotated[int, typer.Option(help="Its port.")] = 4222,
    store: Annotated[Path, typer.Option(help="Where it keeps its streams.")] = Path("/data"),
    executor: Annotated[list[str] | None, typer.Option(help="An executor's name; may be repeated.")] = None,
) -> None:
    """Print the configuration of a NATS server of your own. It holds passwords, made from the secret."""
    from infra.nats_users import configuration

    settings = _settings()
    try:
        print(configuration(settings, listen, port, store, executor or [settings.executor]))
    except ValueError as error:
        _fail(str(error))


@app.command()
def export(
    what: Annotated[Contract, typer.Argument(help="Which contract.")],
    to: Annotated[Path | None, typer.Option(help="A file, for `schemas` a folder; left out: print.")] = None,
) -> None:
    """Write the contracts with the outside: HTTP, events, and the form of each event."""
    from infra.contracts import export as write

    try:
        print(write(what.value, to))
    except OSError as error:
        _fail(str(error))


@app.command()
def demo() -> None:
    """Tell the whole story in the terminal, from an empty folder to a picture with a history."""
    from infra.demo import demo as tell

    raise typer.Exit(tell(_settings()))


def main() -> None:
    app()


def _process(name: str) -> None:
    settings = _settings()
    module = importlib.import_module(f"infra.processes.{name}")
    import uvloop

    from infra.embedded.lock import pass_gate
    from infra.logs import configure

    configure(settings.log_level, name)
    pass_gate(settings.gate)
    try:
        uvloop.run(module.run(settings))
    except SettingsError as error:
        _fail(str(error))


def _settings() -> Settings:
    try:
        return Settings.from_environment(os.environ)
    except SettingsError as error:
        _fail(str(error))


def _running_settings() -> Settings:
    """Our settings, completed by those of the whole that runs in the data folder."""
    settings = _settings()
    from infra.up import RUNNING

    running = settings.data / RUNNING
    if settings.project_database_url is not None or not running.exists():
        return settings
    lines = dict(line.split("=", 1) for line in running.read_text().splitlines())
    return Settings.from_environment({**lines, **os.environ})


def _passphrase(path: Path | None) -> bytes | None:
    if path is None:
        return None
    passphrase = path.read_bytes().partition(b"\n")[0].strip()
    return passphrase or _fail(f"There is no passphrase in {path}.")


def _fail(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
