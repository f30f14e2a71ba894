"""Secrets of second factors, encrypted with a key made from the server's secret."""

from uuid import UUID

from nacl.exceptions import CryptoError
from nacl.secret import Aead

from adapters.identity.secrets import derive


class UnreadableError(Exception):
    """It was encrypted under another server secret, or changed since."""


class FactorBox:
    """XChaCha20-Poly1305 with random nonces; what is sealed under one id opens under no other."""

    def __init__(self, secret: bytes) -> None:
        self._box = Aead(derive(secret, "second factors"))

    def seal(self, id: UUID, secret: bytes) -> bytes:
        return bytes(self._box.encrypt(secret, id.bytes))

    def open(self, id: UUID, sealed: bytes) -> bytes:
        """Raises UnreadableError."""
        try:
            return bytes(self._box.decrypt(sealed, id.bytes))
        except (CryptoError, ValueError) as error:
            raise UnreadableError("A second factor cannot be read with this server's secret.") from error
