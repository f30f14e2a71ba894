"""Output names: what ComfyUI would call each file, counted for each account. A name is never given twice.

Every attempt saves in a folder of its own, where ComfyUI's counter begins anew: `cat_00001_.png` of the third run
becomes `cat_00003_.png`. A file that another attempt makes again keeps the name that it had.
"""

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from uuid import UUID

from msgspec import Struct

from domain.event import AnyRecorded
from domain.file_name import FileName
from domain.ids import AccountId, Digest, RunId
from domain.outcome import Output
from domain.run import OutputDeleted, OutputStored, RunAttemptLost, RunDeleted
from projections.projection import Buffer, Projection, Table
from projections.reading import Cursor
from projections.rows import Rows

_COUNTED = re.compile(r"(.+)_(\d{5,})(_?(?:-[A-Za-z]+)?(?:\.[A-Za-z0-9]+)?)")
"""ComfyUI's own savers write `cat_00001_.png`, others `cat_00001.mp4` or `cat_00001-audio.mp4`."""


class OutputNameRow(Struct, gc=False):
    """`lost`: with the attempt that made it, until another one makes it again."""

    run: UUID
    node: str
    index: int
    owner: AccountId
    type: str
    subfolder: str
    filename: str
    digest: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    at: datetime
    lost: bool = False


class CounterRow(Struct, gc=False):
    """`id`: of an account's folder and what its files' names begin with. `number`: the last that was given."""

    id: str
    number: int


def _outputs(recorded: AnyRecorded) -> Iterable[UUID]:
    return (recorded.stream,) if type(recorded.event) in EVENTS else ()


def _counters(recorded: AnyRecorded) -> Iterable[str]:
    match recorded.event:
        case OutputStored(output=output) if recorded.owner is not None:
            prefix, whole = _keys(recorded.owner, output)
            return (prefix, whole)
        case _:
            return ()


EVENTS = (OutputStored, OutputDeleted, RunAttemptLost, RunDeleted)
NAMES = Table("output_names", OutputNameRow, ("run", "node", "index"), _outputs)
COUNTERS = Table("output_counters", CounterRow, ("id",), _counters)


def fold(recorded: AnyRecorded, buffer: Buffer) -> None:
    match recorded.event:
        case OutputStored(output=output) if recorded.owner is not None:
            names: Rows[OutputNameRow] = buffer["output_names"]
            before = names.get((recorded.stream, output.node, output.index))
            kept = before is not None and _place(before.filename, before) == _place(output.name, output)
            names.put(
                OutputNameRow(
                    recorded.stream,
                    output.node,
                    output.index,
                    recorded.owner,
                    output.type,
                    output.subfolder,
                    before.filename if before and kept else _named(recorded.owner, output, buffer),
                    output.digest,
                    output.media_type,
                    output.size_bytes,
                    output.width,
                    output.height,
                    recorded.at,
                )
            )
        case OutputDeleted(node=node, index=index):
            buffer["output_names"].remove((recorded.stream, node, index))
        case RunAttemptLost():
            for row in buffer["output_names"].of(recorded.stream):
                buffer["output_names"].change((row.run, row.node, row.index), lost=True)
        case RunDeleted():
            buffer["output_names"].remove_of(recorded.stream)
        case _:
            pass


def _place(filename: str, file: Output | OutputNameRow) -> tuple[str, str, str]:
    return file.type, file.subfolder, PurePosixPath(filename).suffix


def _named(owner: AccountId, output: Output, buffer: Buffer) -> str:
    """The next name. Those that ComfyUI has not numbered are numbered from the second on."""
    counters: Rows[CounterRow] = buffer["output_counters"]
    prefix, whole = _keys(owner, output)
    numbered = _COUNTED.fullmatch(output.name)
    if numbered is None:
        if counters.get(whole) is None:
            counters.put(CounterRow(whole, 1))
            return output.name
        path = PurePosixPath(output.name)
        return f"{path.stem}_{_next(counters, prefix):05}_{path.suffix}"
    return f"{numbered[1]}_{_next(counters, prefix):05}{numbered[3]}"


def _next(counters: Rows[CounterRow], id: str) -> int:
    last = counters.get(id)
    number = 1 if last is None else last.number + 1
    counters.put(CounterRow(id, number))
    return number


def _keys(owner: AccountId, output: Output) -> tuple[str, str]:
    """Of what the file's name begins with, and of the whole name."""
    numbered = _COUNTED.fullmatch(output.name)
    begin = numbered[1] if numbered else PurePosixPath(output.name).stem
    folder = f"{owner}/{output.type}/{output.subfolder}/"
    return _hashed(f"{folder}{begin}_"), _hashed(folder + output.name)


def _hashed(text: str) -> str:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


OUTPUT_NAMES = Projection(
    name="output_names",
    version=2,
    sql=Path(__file__).with_suffix(".sql"),
    tables=(NAMES, COUNTERS),
    fold=fold,
    events=EVENTS,
    reads=frozenset({"at", "owner"}),
)


class NamedOutput(Struct, frozen=True):
    run: RunId
    node: str
    index: int
    digest: Digest
    media_type: str
    size_bytes: int
    width: int
    height: int
    at: datetime


_OF_RUNS = b"""
SELECT run, node, index, filename, subfolder, type FROM read.output_names
WHERE run = ANY (%(runs)s) AND NOT lost ORDER BY run, node, index
"""
_BY_NAME = b"""
SELECT run, node, index, digest, media_type, size_bytes, width, height, at FROM read.output_names
WHERE owner = %(owner)s AND type = %(type)s AND subfolder = %(subfolder)s AND filename = %(filename)s
    AND NOT lost
"""
_NEWEST = b"""
SELECT filename, subfolder, type FROM read.output_names
WHERE owner = %(owner)s AND type = %(type)s AND NOT lost ORDER BY at DESC, filename LIMIT %(limit)s
"""


async def of_runs(cursor: Cursor, runs: Collection[RunId]) -> dict[RunId, dict[tuple[str, int], FileName]]:
    """The names of one's own runs' files, by node and index."""
    await cursor.execute(_OF_RUNS, {"runs": list(runs)}, prepare=True)
    found: dict[RunId, dict[tuple[str, int], FileName]] = {}
    for run, node, index, *name in await cursor.fetchall():
        found.setdefault(RunId(run), {})[node, index] = FileName(*name)
    return found


async def by_name(cursor: Cursor, owner: AccountId, name: FileName) -> NamedOutput | None:
    """One of one's own."""
    asked = {"owner": owner, "type": name.type, "subfolder": name.subfolder, "filename": name.filename}
    await cursor.execute(_BY_NAME, asked, prepare=True)
    row = await cursor.fetchone()
    return None if row is None else NamedOutput(RunId(row[0]), *row[1:])


async def newest(cursor: Cursor, owner: AccountId, type: str, limit: int) -> list[FileName]:
    """An account's, the newest first."""
    await cursor.execute(_NEWEST, {"owner": owner, "type": type, "limit": limit}, prepare=True)
    return [FileName(*row) for row in await cursor.fetchall()]
