"""The errand in a process of its own, to be killed."""

from collections.abc import Mapping

import uvloop
from msgspec.structs import replace

from infra.settings import Settings
from infra.webhooks import webhooks
from services.webhooks.judging import Schedule
from services.webhooks.sending import SenderSettings

HASTY = SenderSettings(
    attempt_s=0.6,
    lease_s=1.2,
    poll_s=0.05,
    turn_s=0.5,
    schedule=replace(Schedule(), pauses_s=(0.02, 0.1)),
)


def send(environment: Mapping[str, str]) -> None:
    """Settings as the environment would tell them."""
    uvloop.run(webhooks(Settings.from_environment(environment), HASTY))
