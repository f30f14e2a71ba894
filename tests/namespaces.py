"""Machines of their own on this one: network namespaces, each on a link that can be cut in several ways.

Needs root and `ip`; where they cannot be made, whoever wants them fails with the reason.
"""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

WAYS = ("down", "silent", "slow")
"""`down`: both ends see that the link is gone. `silent`: what the machine sends gets lost, and nobody is told. `slow`:
so little gets through that nothing arrives in time. `lossy`, too, where the kernel can lose packets."""
LOSSY = "lossy"


class Unable(Exception):
    """A command that makes or cuts links has failed."""


class Place:
    """A namespace. `host`: the address by which what runs outside is reached from in there."""

    def __init__(self, name: str, link: str, host: str) -> None:
        self.name = name
        self.host = host
        self._link = link

    @property
    def within(self) -> tuple[str, ...]:
        """What a command begins with that is to run in there."""
        return ("ip", "netns", "exec", self.name)

    async def cut(self, way: str) -> None:
        match way:
            case "down":
                await run("ip", "link", "set", self._link, "down")
            case "silent":
                await run("ip", "-n", self.name, "route", "add", "blackhole", f"{self.host}/32")
            case "slow":
                slow = ("tbf", "rate", "1kbit", "burst", "2kb", "latency", "20ms")
                await run("tc", "qdisc", "add", "dev", self._link, "root", *slow)
            case _:
                lossy = ("netem", "loss", "90%", "delay", "500ms")
                await run("tc", "qdisc", "add", "dev", self._link, "root", *lossy)

    async def mend(self, way: str) -> None:
        match way:
            case "down":
                await run("ip", "link", "set", self._link, "up")
            case "silent":
                await run("ip", "-n", self.name, "route", "del", "blackhole", f"{self.host}/32")
            case _:
                await run("tc", "qdisc", "del", "dev", self._link, "root")


@asynccontextmanager
async def places(count: int) -> AsyncIterator[list[Place]]:
    """Fails the test, and says why, where the system or our rights do not allow it."""
    if os.geteuid() != 0:
        pytest.fail("Network namespaces are made by root only: run `make soak` as root.")
    if missing := [name for name in ("ip", "tc") if shutil.which(name) is None]:
        pytest.fail(f"Without {' and '.join(missing)} (iproute2) no network namespaces can be made.")
    made: list[Place] = []
    tag = secrets.token_hex(3)
    try:
        for number in range(count):
            made.append(Place(f"cp{tag}{number}", f"cp{tag}{number}a", f"10.213.{secrets.randbelow(256)}.1"))
            await _open(made[-1], f"cp{tag}{number}a", f"cp{tag}{number}b")
        yield made
    except Unable as error:
        pytest.fail(f"This system does not let us make or cut network namespaces: {error}")
    finally:
        for place in made:
            with suppress(Unable):
                await run("ip", "netns", "del", place.name)  # and with it its link


async def can_lose(place: Place) -> bool:
    """Whether the kernel can lose packets on purpose."""
    try:
        await place.cut(LOSSY)
    except Unable:
        return False
    await place.mend(LOSSY)
    return True


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    if process.returncode:
        raise Unable(f"{' '.join(command)}: {said.decode(errors='replace').strip()}")


async def _open(place: Place, outside: str, inside: str) -> None:
    there = place.host.removesuffix(".1") + ".2"
    await run("ip", "netns", "add", place.name)
    await run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", place.name)
    await run("ip", "addr", "add", f"{place.host}/30", "dev", outside)
    await run("ip", "link", "set", outside, "up")
    await run("ip", "-n", place.name, "link", "set", "lo", "up")
    await run("ip", "-n", place.name, "addr", "add", f"{there}/30", "dev", inside)
    await run("ip", "-n", place.name, "link", "set", inside, "up")
