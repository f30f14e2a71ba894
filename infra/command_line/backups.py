"""`comfyplus backup` and `restore`."""

from pathlib import Path
from typing import Annotated

import typer

from infra.command_line.given import fail, given_settings, running_settings

app = typer.Typer()


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
    raise typer.Exit(make(running_settings(), target, passphrase, with_objects=with_objects))


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
    raise typer.Exit(
        bring_back(given_settings(), source, passphrase, erasures=erasures, no_erasures=no_erasures)
    )


def _passphrase(path: Path | None) -> bytes | None:
    if path is None:
        return None
    passphrase = path.read_bytes().partition(b"\n")[0].strip()
    return passphrase or fail(f"There is no passphrase in {path}.")
