"""The errand in a process of its own, to be killed: settings come from the environment."""

import os

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

if __name__ == "__main__":
    uvloop.run(webhooks(Settings.from_environment(os.environ), HASTY))
