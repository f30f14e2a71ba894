"""Running a program that refuses to be root, or to be a user without a name."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from infra.embedded.child import ChildFailedError

NOBODY = 65534


def unprivileged(program: Path) -> tuple[str, ...]:
    """What to put before a command so that PostgreSQL, which refuses to be root, runs it.

    A user namespace keeps every file ours. Where those are forbidden (as in most containers), root becomes `nobody`
    but keeps the right to pass through folders closed to others: the checkout may be 0700.
    """
    uid = os.geteuid()
    if uid != 0 and _has_name(uid):
        return ()
    ways: list[tuple[str, ...]] = [
        ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")
    ]
    if uid == 0:
        keep = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
        become = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        # becoming another user clears the parent-death signal, so it is set again behind that
        ways.append(("setpriv", *become, *keep, "--pdeathsig=QUIT", "--"))
    for way in ways:
        if shutil.which(way[0]) and _works((*way, str(program), "--version")):
            return way
    raise ChildFailedError(
        "The embedded PostgreSQL cannot run here as this user. Run as an ordinary user with a name, "
        "or set COMFYPLUS_DATABASE_URL to a server of your own."
    )


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _works(argv: tuple[str, ...]) -> bool:
    return subprocess.run(argv, capture_output=True, check=False, stdin=subprocess.DEVNULL).returncode == 0
