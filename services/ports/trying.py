"""Whether a backend could be driven: asked of executors, who may reach what we do not."""

from typing import Protocol
from uuid import UUID

from msgspec import Struct

from domain.backend import BackendSeen


class Trial(Struct, frozen=True, kw_only=True):
    """`exec.any.try`: look whether there is a ComfyUI. `guarded`: an account says where."""

    id: UUID
    url: str
    header: str = ""
    value: str = ""
    guarded: bool = True

    def __repr__(self) -> str:
        return "Trial(...)"  # credentials must not reach a log


class Tried(Struct, frozen=True, kw_only=True):
    """`runs.tried.<executor>`: what came of a trial."""

    id: UUID
    sight: BackendSeen | None
    reason: str = ""


class Trials(Protocol):
    async def ask(self, trial: Trial) -> Tried | None:
        """The first executor that reaches it, else the last that does not. None: no executor answered in time."""
