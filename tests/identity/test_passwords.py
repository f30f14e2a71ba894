"""Passwords are kept as hashes that cost something."""

import asyncio

from argon2 import PasswordHasher, extract_parameters

from adapters.identity.passwords import Argon2Passwords
from domain.refusals import TooMany

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


async def test_the_right_password_is_right_and_no_other() -> None:
    passwords = Argon2Passwords(CHEAP)
    kept = await passwords.hash("correct horse")
    assert await passwords.verify("correct horse", kept)
    for wrong in ("", "Correct horse", "correct horse ", "x" * 100_000, "ü"):
        assert not await passwords.verify(wrong, kept)


async def test_one_password_has_many_hashes() -> None:
    passwords = Argon2Passwords(CHEAP)
    assert await passwords.hash("same") != await passwords.hash("same")


async def test_without_a_hash_no_password_is_right() -> None:
    passwords = Argon2Passwords(CHEAP)
    for guess in ("", "nobody's password", "x"):
        assert not await passwords.verify(guess, None)


async def test_a_damaged_hash_opens_nothing() -> None:
    passwords = Argon2Passwords(CHEAP)
    for damaged in ("", "x", "$argon2id$v=19$m=8,t=1,p=1$x$y", "$1$abc$def"):
        assert not await passwords.verify("x", damaged)


async def test_the_ordinary_hash_is_argon2id_and_dear() -> None:
    kept = extract_parameters(await Argon2Passwords().hash("x"))
    assert kept.type.name == "ID"
    assert kept.memory_cost >= 46 * 1024  # in KiB, as OWASP advises
    assert kept.time_cost >= 1


async def test_a_crowd_is_told_to_come_back() -> None:
    passwords = Argon2Passwords(CHEAP, waiting_limit=3)
    asked = await asyncio.gather(*(passwords.hash("x") for _ in range(10)), return_exceptions=True)
    refused = [answer for answer in asked if isinstance(answer, TooMany)]
    assert len(refused) == 7
    assert refused[0].retry_after_s >= 1
    guesses = await asyncio.gather(*(passwords.verify("x", None) for _ in range(4)), return_exceptions=True)
    assert [type(answer) for answer in guesses].count(TooMany) == 1
    assert not await passwords.verify("x", None)
