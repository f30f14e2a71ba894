"""NATS's own signatures: Ed25519 keys in its spelling, and the JWTs that it reads."""

import base64
import uuid
from typing import Any

import msgspec
from nacl.signing import SigningKey

ACCOUNT = 0 << 3
_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}


class Issuer:
    """Signs for the accounts that the server's configuration leaves to us. `public` stands there as `issuer`."""

    def __init__(self, seed: bytes) -> None:
        """`seed`: 32 bytes."""
        self._key = SigningKey(seed)
        self.public = spelled(ACCOUNT, bytes(self._key.verify_key))

    def sign(self, *, subject: str, audience: str, issued_at: int, nats: dict[str, Any], **more: Any) -> str:
        """Times are seconds since 1970."""
        claims = {
            "jti": uuid.uuid4().hex,
            "iat": issued_at,
            "iss": self.public,
            "sub": subject,
            "aud": audience,
            "nats": nats,
            **more,
        }
        signed = f"{_text(msgspec.json.encode(_HEADER))}.{_text(msgspec.json.encode(claims))}"
        return f"{signed}.{_text(self._key.sign(signed.encode()).signature)}"


def spelled(kind: int, public: bytes) -> str:
    """A public key as NATS writes it: base32 of its kind, itself, and a CRC-16."""
    body = bytes([kind]) + public
    return base64.b32encode(body + _crc16(body).to_bytes(2, "little")).rstrip(b"=").decode()


def claims(token: str) -> Any:
    """What a JWT says, not checked: for those that only the server can have sent. Raises ValueError."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("no JWT")
    return msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))


def _text(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def _crc16(body: bytes) -> int:
    """XMODEM."""
    crc = 0
    for byte in body:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc
