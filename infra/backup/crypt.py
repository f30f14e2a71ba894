"""Parts under a passphrase: chunks that can neither be changed, reordered, cut off nor put into another part."""

from collections.abc import Iterator
from typing import BinaryIO

from nacl import bindings, pwhash, utils
from nacl.exceptions import CryptoError

from infra.backup.manifest import BackupError, Encryption

CHUNK = 256 * 1024
_OVERHEAD = bindings.crypto_secretstream_xchacha20poly1305_ABYTES
_MORE = bindings.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_LAST = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL


def fresh() -> Encryption:
    return Encryption(
        salt=utils.random(pwhash.argon2id.SALTBYTES).hex(),
        ops=pwhash.argon2id.OPSLIMIT_MODERATE,
        memory_bytes=pwhash.argon2id.MEMLIMIT_MODERATE,
    )


def key(passphrase: bytes, encryption: Encryption) -> bytes:
    """32 bytes. Raises BackupError for parameters that no backup of ours has."""
    try:
        salt = bytes.fromhex(encryption.salt)
        if encryption.memory_bytes > pwhash.argon2id.MEMLIMIT_SENSITIVE:
            raise ValueError("too much memory")
        return pwhash.argon2id.kdf(32, passphrase, salt, encryption.ops, encryption.memory_bytes)
    except (ValueError, TypeError, CryptoError) as error:
        raise BackupError("The manifest does not say how the backup was encrypted.") from error


class Encrypting:
    """Gives the bytes to be written for those that are put in."""

    def __init__(self, key: bytes, name: str) -> None:
        self._state = bindings.crypto_secretstream_xchacha20poly1305_state()
        self._name = name.encode()
        self._held = bytearray()
        self.header: bytes = bindings.crypto_secretstream_xchacha20poly1305_init_push(self._state, key)

    def put(self, body: bytes) -> bytes:
        self._held += body
        out = b""
        while len(self._held) > CHUNK:
            out += self._push(bytes(self._held[:CHUNK]), _MORE)
            del self._held[:CHUNK]
        return out

    def end(self) -> bytes:
        return self._push(bytes(self._held), _LAST)

    def _push(self, chunk: bytes, tag: int) -> bytes:
        push = bindings.crypto_secretstream_xchacha20poly1305_push
        out: bytes = push(self._state, chunk, self._name, tag)
        return out


def decrypted(file: BinaryIO, key: bytes, name: str) -> Iterator[bytes]:
    """Raises BackupError: the passphrase is wrong, or the part is damaged."""
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    pull = bindings.crypto_secretstream_xchacha20poly1305_pull
    try:
        header = file.read(bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES)
        bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, header, key)
        tag = _MORE
        while tag != _LAST:
            chunk, tag = pull(state, file.read(CHUNK + _OVERHEAD), name.encode())
            yield chunk
    except (CryptoError, ValueError, RuntimeError) as error:
        raise BackupError(f"{name} cannot be opened: the passphrase is wrong, or it is damaged.") from error
