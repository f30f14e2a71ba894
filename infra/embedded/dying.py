"""Processes that end with the one that started them."""

import ctypes
import os
from collections.abc import Callable
from functools import cache

PR_SET_PDEATHSIG = 1


def dying_with_us(death_signal: int) -> Callable[[], None]:
    """To be run in a new process before its program: the kernel sends it the signal when the caller is gone.

    The caller is a thread: a new process lives no longer than that.
    """
    libc, parent = _libc(), os.getpid()

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return prepare


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
