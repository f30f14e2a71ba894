"""Where a backup lies: a folder, or the same in one tar file. It has its name only when it is whole."""

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from infra.backup import crypt
from infra.backup.manifest import NAME, BackupError, Part

BLOCK = 1024 * 1024


class Writing:
    """A backup being made beside its place. Only its owner may read it."""

    def __init__(self, target: Path, key: bytes | None) -> None:
        """Raises BackupError when something is there already."""
        self._target, self._key = target, key
        self._folder = target.with_name(f"{target.name}.unfinished")
        if target.exists():
            raise BackupError(f"{target} is there already.")

    def __enter__(self) -> "Writing":
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700, parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def part(self, name: str, blocks: Iterable[bytes]) -> Part:
        """Write a part, encrypted if there is a key. Raises OSError."""
        path, sha, size = self._folder / name, hashlib.sha256(), 0
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _private(path) as file:
            for block in self._coded(name, blocks):
                sha.update(block)
                size += len(block)
                file.write(block)
            _settle(file)
        return Part(name=name, sha256=sha.hexdigest(), size_bytes=size)

    def finish(self, manifest: bytes) -> None:
        """Write the manifest and give the backup its name."""
        with _private(self._folder / NAME) as file:
            file.write(manifest)
            _settle(file)
        if self._target.suffix != ".tar":
            self._folder.rename(self._target)
            return
        packed = self._target.with_name(f"{self._target.name}.packing")
        with _private(packed) as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                for path in sorted(path for path in self._folder.rglob("*") if path.is_file()):
                    tar.add(path, str(path.relative_to(self._folder)), filter=_anonymous)
                    path.unlink()
            _settle(file)
        packed.replace(self._target)

    def _coded(self, name: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
        if self._key is None:
            yield from blocks
            return
        stream = crypt.Encrypting(self._key, name)
        yield stream.header
        for block in blocks:
            yield stream.put(block)
        yield stream.end()


class Reading:
    """A backup that is there. Nothing of it is ever unpacked under a name that it gives itself."""

    def __init__(self, path: Path) -> None:
        """Raises BackupError."""
        self._path = path
        self._tar: tarfile.TarFile | None = None
        if not path.exists():
            raise BackupError(f"There is no {path}.")
        if path.is_file():
            try:
                self._tar = tarfile.open(path, "r:")  # noqa: SIM115  # closed by close
            except (tarfile.TarError, OSError) as error:
                raise BackupError(f"{path} is no backup: {error}") from error

    def close(self) -> None:
        if self._tar is not None:
            self._tar.close()

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Raises BackupError."""
        try:
            if self._tar is None:
                with (self._path / name).open("rb") as file:
                    yield file
                return
            found = self._tar.extractfile(name)
            if found is None:
                raise BackupError(f"{name} is no file.")
            with found:
                yield found  # type: ignore[misc]  # typeshed: IO[bytes]
        except (KeyError, OSError, tarfile.TarError) as error:
            raise BackupError(f"{name} cannot be read: {error}") from error

    def manifest(self) -> bytes:
        with self.open(NAME) as file:
            return file.read(64 * BLOCK)

    def blocks(self, name: str, key: bytes | None) -> Iterator[bytes]:
        """The part's content. Raises BackupError."""
        with self.open(name) as file:
            if key is not None:
                yield from crypt.decrypted(file, key, name)
                return
            while block := file.read(BLOCK):
                yield block

    def check(self, part: Part) -> None:
        """Raises BackupError when the part is not what the manifest says."""
        sha, size = hashlib.sha256(), 0
        for block in self.blocks(part.name, None):
            sha.update(block)
            size += len(block)
        if (size, sha.hexdigest()) != (part.size_bytes, part.sha256):
            raise BackupError(f"{part.name} is damaged: it is not what the manifest says.")


def _private(path: Path) -> BinaryIO:
    return open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b")


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member
