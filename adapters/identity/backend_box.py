"""Backends' addresses and credentials, encrypted with a key made from the server's secret."""

from uuid import UUID

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import Aead

from adapters.identity.secrets import derive
from commands.backend_access import Access


class UnreadableError(Exception):
    """It was encrypted under another server secret, or changed since."""


class BackendBox:
    """XChaCha20-Poly1305 with random nonces; what is sealed under one id opens under no other."""

    def __init__(self, secret: bytes) -> None:
        self._box = Aead(derive(secret, "backends"))

    def seal(self, id: UUID, access: Access) -> bytes:
        return bytes(self._box.encrypt(msgspec.json.encode(access), id.bytes))

    def open(self, id: UUID, sealed: bytes) -> Access:
        """Raises UnreadableError."""
        try:
            return msgspec.json.decode(self._box.decrypt(sealed, id.bytes), type=Access)
        except (CryptoError, ValueError, msgspec.MsgspecError) as error:
            raise UnreadableError("A backend's access cannot be read with this server's secret.") from error
