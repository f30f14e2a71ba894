"""Mails that wait, encrypted with a key made from the server's secret: they hold addresses, and tokens that work."""

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import Aead

from adapters.identity.secrets import derive
from commands.identity_ports import Mail


class UnreadableError(Exception):
    """It was encrypted under another server secret, or changed since."""


class MailBox:
    """XChaCha20-Poly1305 with random nonces."""

    def __init__(self, secret: bytes) -> None:
        self._box = Aead(derive(secret, "mails"))

    def seal(self, mail: Mail) -> bytes:
        return bytes(self._box.encrypt(msgspec.json.encode(mail)))

    def open(self, sealed: bytes) -> Mail:
        """Raises UnreadableError."""
        try:
            return msgspec.json.decode(self._box.decrypt(sealed), type=Mail)
        except (CryptoError, ValueError, msgspec.MsgspecError) as error:
            raise UnreadableError("A mail cannot be read with this server's secret.") from error
