"""`comfyplus audit ...`: proof that nobody rewrote the log, for whoever runs the server and for others."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from adapters.identity.signing import Ed25519Signer
from adapters.postgres.seals import PostgresAudits, PostgresSeals
from commands.ports import LogUnavailableError
from domain.checkpoint import ChainLine, Checkpoint, Witness, header, line
from domain.ids import Position
from domain.refusals import DomainError
from domain.seal import Fault, Link
from infra.embedded.child import ChildFailedError
from infra.offline import check_seals
from infra.operating import owner_database
from infra.settings import Settings, audit_key_path, load_audit_key
from infra.wiring import now
from services.auditing import Shown, Told, Verified, foreign, verify

PAGE = 10_000  # seals


class UnusableError(Exception):
    """The file, the key or the range that was named is of no use; the message says why."""


def verify_log(
    settings: Settings,
    first: int | None = None,
    last: int | None = None,
    checkpoint: Path | None = None,
    key: str | None = None,
) -> int:
    """Returns the exit code: 0 sound, 1 not, 2 when what was asked cannot be done."""
    try:
        witness = None if checkpoint is None else _checked(checkpoint, _trusted(settings, key))
        if witness and (first or last):
            raise UnusableError("A checkpoint speaks of the whole log: leave out --from and --to.")
        with _log(settings) as log:
            begun, head = monotonic(), log.head()
            start = log.before(Position(first or 1))
            upto = Position(min(last or head.position, head.position))
            if upto <= start.position and head.position:
                raise UnusableError(f"The log ends at position {head.position}.")
            fault = foreign(log, witness) if witness else None
            with _bar(start.position, upto) as told:
                told_by = checkpoint if fault is None else None  # else it speaks of what was lost
                story = _witness(told_by, witness) if told_by and witness else None
                verified = verify(log, start, upto, witness=story, told=told)
    except (UnusableError, ChildFailedError, LogUnavailableError, ValueError) as error:
        print(f"Not verified. {error}", file=sys.stderr)
        return 2
    found = [each for each in (verified.fault, fault) if each is not None]
    return _say(verified, min(found, key=_place, default=None), start, monotonic() - begun)


def print_checkpoint(settings: Settings) -> int:
    try:
        with _log(settings) as log:
            made = _signed(settings, log)
    except (DomainError, ChildFailedError, LogUnavailableError) as error:
        print(f"Not signed. {error}", file=sys.stderr)
        return 1
    print(msgspec.json.encode(made).decode())
    return 0


def export(settings: Settings, path: Path) -> int:
    """Write the chain of seals and a signed checkpoint. The file is there when it is whole."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with _log(settings) as log, unfinished.open("wb") as file:
            made = _signed(settings, log)
            file.write(header(log.identity()))
            with _bar(0, made.position) as told:
                position = Position(0)
                while position < made.position:
                    upto = Position(min(position + PAGE, made.position))
                    file.writelines(line(seal) for seal in log.seals(position, upto))
                    position = upto
                    told(position)
            file.write(msgspec.json.encode(made) + b"\n")
        print(check_seals.check(unfinished))
        unfinished.replace(path)
    except (DomainError, ChildFailedError, LogUnavailableError, OSError, check_seals.Wrong) as error:
        unfinished.unlink(missing_ok=True)
        print(f"Not exported. {error}", file=sys.stderr)
        return 1
    return 0


def check(path: Path, key: str | None) -> int:
    """Without a database."""
    try:
        print(check_seals.check(path, key))
    except (check_seals.Wrong, OSError) as error:
        print(f"Not proved. {error}", file=sys.stderr)
        return 1
    return 0


def acknowledge(settings: Settings) -> int:
    """Forget what the audit has found: the alarm ends, unless it finds the same again."""
    try:
        with owner_database(settings) as url, closing(PostgresAudits(url)) as audits:
            faults = [finding.fault for finding in audits.read().values() if finding.fault]
            audits.forget()
    except (ChildFailedError, LogUnavailableError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(f"Acknowledged: {fault}" for fault in faults) or "There was no alarm.")
    return 0


@contextmanager
def _log(settings: Settings) -> Iterator[PostgresSeals]:
    with owner_database(settings) as url, closing(PostgresSeals(url)) as log:
        yield log


def _signed(settings: Settings, log: PostgresSeals) -> Checkpoint:
    """Raises NotFound, Broken, LogUnavailableError."""
    with closing(PostgresAudits(log.url)) as audits:
        signer = Ed25519Signer(load_audit_key(settings))
        return asyncio.run(Shown(log, audits, lambda: signer, now).checkpoint())


def _checked(path: Path, key: str | None) -> Checkpoint:
    """The signed checkpoint in a file; a chain before it is checked too."""
    try:
        check_seals.check(path, key)
        text = path.read_bytes().rstrip().rpartition(b"\n")[2]
        return msgspec.json.decode(text, type=Checkpoint)
    except (OSError, check_seals.Wrong, msgspec.MsgspecError) as error:
        raise UnusableError(str(error)) from error


def _witness(path: Path, checkpoint: Checkpoint) -> Witness:
    with path.open("rb") as file:
        head = file.readline()
        if not any(f'"{known}"'.encode() in head for known in check_seals.FORMATS):
            return Witness(checkpoint)
    return Witness(checkpoint, _chain(path))


def _chain(path: Path) -> Iterator[ChainLine]:
    decode = msgspec.json.Decoder(ChainLine).decode
    with path.open("rb") as file:
        file.readline()
        for text in file:
            if b'"signature"' in text:
                return
            yield decode(text)


def _trusted(settings: Settings, key: str | None) -> str | None:
    """The public key that a checkpoint must be signed with: the one named, else this server's."""
    if key is not None:
        return key
    if settings.audit_key or audit_key_path(settings).exists():
        return Ed25519Signer(load_audit_key(settings)).public_key
    print("This server has no key: whose checkpoint it is, only --key can tell.", file=sys.stderr)
    return None


@contextmanager
def _bar(start: int, upto: int) -> Iterator[Told]:
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[speed]}"), TimeElapsedColumn()),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task("events", total=upto - start, speed="")
        begun = monotonic()

        def told(position: Position) -> None:
            done = min(position, upto) - start
            rate = done / max(monotonic() - begun, 1e-6)
            left_s = (upto - start - done) / max(rate, 1.0)
            bars.update(task, completed=done, speed=f"{rate:,.0f} events/s, {left_s:.0f} s left")

        yield told


def _place(fault: Fault) -> Position:
    return fault.position


def _say(verified: Verified, fault: Fault | None, start: Link, took_s: float) -> int:
    link = verified.link
    if fault is not None:
        print(f"The log is not what was sealed: {fault}", file=sys.stderr)
        print(f"Sound up to position {min(link.position, fault.position - 1)}.", file=sys.stderr)
        return 1
    begins = (
        f", from the seal of position {start.position} on, which was taken for sound"
        if start.position
        else ""
    )
    print(f"Sound: {verified.events:,} events up to position {link.position}{begins}, in {took_s:.1f} s.")
    print(f"Seal {link.seal.hex()}")
    return 0
