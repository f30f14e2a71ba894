"""Webhooks' addresses and secrets, encrypted with a key made from the server's secret; and signatures with them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from nacl.exceptions import CryptoError
from nacl.secret import Aead
from standardwebhooks import Webhook

from adapters.identity.secrets import derive


class UnreadableError(Exception):
    """It was encrypted under another server secret, or changed since."""


class WebhookBox:
    """XChaCha20-Poly1305 with random nonces; what belongs to one webhook opens for no other."""

    def __init__(self, secret: bytes) -> None:
        self._box = Aead(derive(secret, "webhooks"))

    def seal(self, webhook: UUID, id: UUID, text: str) -> bytes:
        return bytes(self._box.encrypt(text.encode(), webhook.bytes + id.bytes))

    def open(self, webhook: UUID, id: UUID, sealed: bytes) -> str:
        """Raises UnreadableError."""
        try:
            return self._box.decrypt(sealed, webhook.bytes + id.bytes).decode()
        except (CryptoError, ValueError) as error:
            raise UnreadableError("A webhook's secret cannot be read with this server's secret.") from error


def signature(secrets: Sequence[str], id: str, at: datetime, body: bytes) -> str:
    """The header `webhook-signature` of Standard Webhooks: one signature for each secret."""
    return " ".join(Webhook(secret).sign(id, at, body.decode()) for secret in secrets)
