"""Codes that a device and we make of the same secret and the time of day: RFC 6238, six digits, every 30 seconds."""

import hmac
from datetime import datetime

STEP_S = 30
DIGITS = 6
DRIFT = 1  # steps that a device's clock may be before or behind ours


def step_at(now: datetime) -> int:
    return int(now.timestamp()) // STEP_S


def code_of(secret: bytes, step: int) -> str:
    mac = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    at = mac[-1] & 0x0F
    number = int.from_bytes(mac[at : at + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def step_of(secret: bytes, code: str, now: datetime) -> int | None:
    """The step that the code belongs to, about now; None: it is a wrong one. All are compared, whichever it is."""
    here = step_at(now)
    found = None
    for step in range(here - DRIFT, here + DRIFT + 1):
        if hmac.compare_digest(code_of(secret, step).encode(), code.encode()):
            found = step
    return found
