"""Who has done something to a thing that is not theirs."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from domain.event import Recorded, is_staffs
from domain.ids import AccountId, Actor, Position
from domain.workflow import WorkflowDeleted
from tests.domain.facts import ANN, BOB


@pytest.mark.parametrize(
    ("owner", "actor", "staffs"),
    [
        (ANN, str(ANN), False),
        (ANN, str(BOB), True),
        (ANN, "erasing", False),
        (ANN, "executor:gpu-1", False),
        (None, str(BOB), False),
    ],
)
def test_only_another_account_is_staff(owner: AccountId | None, actor: str, staffs: bool) -> None:
    recorded = Recorded(
        position=Position(1),
        stream=uuid4(),
        version=1,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        owner=owner,
        actor=Actor(actor),
        correlation=uuid4(),
        causation=None,
        event=WorkflowDeleted(),
    )
    assert is_staffs(recorded) is staffs
