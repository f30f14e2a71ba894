"""`python -m bench [--quick] [NAME...]`: measure rows, print them, and write them to bench/latest.json.

Without names all rows; with some, the others in the file stay as they were. `--quick` only shows that every
measurement works: its figures are not written.
"""

import argparse
import gc
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from bench.row import Ground, Row, row
from bench.rows import MEASUREMENTS, TARGETS

LATEST = Path(__file__).with_name("latest.json")


class Latest(Struct, frozen=True):
    """The form of latest.json."""

    rows: list[Row] = []


def main() -> int:
    """Exit code 1 when a row missed its target, 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TARGETS))
    parser.add_argument("--quick", action="store_true", help="only show that it works")
    parser.add_argument(
        "--keep", action="store_true", help="leave the servers' folders behind, for their logs"
    )
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(TARGETS):
        print(
            f"There is no row {', '.join(sorted(unknown))}. There are: {', '.join(TARGETS)}.", file=sys.stderr
        )
        return 2
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        rows = _measure(chosen.names or list(TARGETS), folder, chosen.quick, console)
    finally:
        if chosen.keep:
            console.print(f"[dim]{folder}[/]")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    console.print(_table(rows))
    return 0 if all(each.met for each in rows) else 1


def _measure(names: Sequence[str], folder: Path, quick: bool, console: Console) -> list[Row]:
    rows: list[Row] = []
    for number, (measured, measurement) in enumerate(MEASUREMENTS.items()):
        wanted = [name for name in measured if name in names]
        if not wanted:
            continue
        begun = time.monotonic()
        gc.collect()
        with console.status(f"measuring {', '.join(measured)}"):
            figures = measurement(Ground(folder / str(number), quick))
        console.print(f"[dim]{time.monotonic() - begun:5.1f} s[/]  {', '.join(measured)}")
        for name in wanted:
            rows.append(row(name, TARGETS[name], figures[name]))
            console.print(
                f"         [bold]{rows[-1].value:g}[/] {rows[-1].unit}, {rows[-1].detail}", highlight=False
            )
        if not quick:
            _write(rows)  # at once: what comes later may fail
    return rows


def _write(rows: Sequence[Row]) -> None:
    known: dict[str, Row] = {}
    if LATEST.exists():
        known = {each.name: each for each in msgspec.json.decode(LATEST.read_bytes(), type=Latest).rows}
    known |= {each.name: each for each in rows}
    ordered = [known[name] for name in TARGETS if name in known]
    LATEST.write_bytes(msgspec.json.format(msgspec.json.encode(Latest(ordered)), indent=2) + b"\n")


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, padding=(0, 2))
    for heading in ("row", "value", "unit", "target", ""):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for each in rows:
        met = "[green]met[/]" if each.met else "[bold red]missed[/]"
        table.add_row(each.name, f"{each.value:g}", each.unit, each.target, met)
    return table


if __name__ == "__main__":
    sys.exit(main())
