"""Ed25519: who signs checkpoints of the log."""

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

SEED_BYTES = 32


class Ed25519Signer:
    """The Signer of the domain."""

    def __init__(self, seed: bytes) -> None:
        """Raises ValueError unless the seed has 32 bytes."""
        self._key = SigningKey(seed)

    @property
    def public_key(self) -> str:
        return bytes(self._key.verify_key).hex()

    def sign(self, message: bytes) -> str:
        return self._key.sign(message).signature.hex()


def is_signed(message: bytes, signature: str, public_key: str) -> bool:
    """Both in hexadecimal. What cannot be a signature or a key is none."""
    try:
        VerifyKey(bytes.fromhex(public_key)).verify(message, bytes.fromhex(signature))
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True
