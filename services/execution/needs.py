"""What every part of an executor works with."""

from msgspec import Struct

from services.execution.finishing import Finisher
from services.execution.holding import Holding
from services.execution.loras import LoraCaches
from services.execution.progress import ProgressPump
from services.execution.reporting import Reporter
from services.execution.settings import ExecutorSettings
from services.ports.executing import ClaimObjects, DispatchLink, Spool


class Needs(Struct, frozen=True, kw_only=True):
    name: str
    link: DispatchLink
    objects: ClaimObjects
    spool: Spool
    settings: ExecutorSettings
    holding: Holding
    reporter: Reporter
    finisher: Finisher
    progress: ProgressPump
    loras: LoraCaches
