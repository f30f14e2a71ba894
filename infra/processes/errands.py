"""`comfyplus errands`: everything that follows from events, or from time, and has no door of its own."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

from infra.auditing import auditing
from infra.cleaning import cleaning
from infra.emptying import emptying
from infra.erasing import erasing
from infra.exporting import exporting
from infra.integrating import publishing
from infra.keeping import keeping
from infra.loras import tidying
from infra.mailing import mailing
from infra.notifying import notifying
from infra.rebuilding import rebuilding
from infra.removing import removing
from infra.settings import Settings
from infra.webhooks import webhooks
from infra.wiring import together, until_told_to_stop

Errand: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Runs until it is cancelled, and keeps its own failures from the others."""


async def run(settings: Settings) -> None:
    await until_told_to_stop(lambda: _all(errands(settings)))


def errands(settings: Settings) -> Sequence[Errand]:
    return (
        lambda: auditing(settings),
        lambda: webhooks(settings),
        lambda: erasing(settings),
        lambda: removing(settings),
        lambda: exporting(settings),
        lambda: publishing(settings),
        lambda: rebuilding(settings),
        lambda: tidying(settings),
        lambda: cleaning(settings),
        lambda: emptying(settings),
        lambda: mailing(settings),
        lambda: keeping(settings),
        lambda: notifying(settings),
    )


async def _all(errands: Sequence[Errand]) -> None:
    await together(*(errand() for errand in errands))
