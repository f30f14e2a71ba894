"""What outsiders are told."""

from uuid import UUID

import msgspec
import pytest

from domain.catalogue import CATALOGUE
from domain.event import Event, Recorded, topic
from domain.ids import Actor, Position
from domain.internal import INTERNAL
from domain.public import PUBLIC, public
from domain.public_events import PublicEvent
from tests.contract.golden import EXAMPLES
from tests.domain.facts import ANN, NOON

STREAM = UUID(int=0x5)


def test_every_event_is_either_translated_or_kept_inside() -> None:
    assert set(PUBLIC) | INTERNAL == set(CATALOGUE.events.values())
    assert not set(PUBLIC) & INTERNAL


@pytest.mark.parametrize("event", EXAMPLES, ids=topic)
def test_a_translation_is_complete_and_of_its_own_shape(event: Event) -> None:
    told = public(
        Recorded(
            position=Position(1),
            stream=STREAM,
            version=1,
            at=NOON,
            owner=ANN,
            actor=Actor("tests"),
            correlation=STREAM,
            causation=None,
            event=event,
        )
    )
    assert (told is None) == (type(event) in INTERNAL)
    if told is not None:
        assert not isinstance(told, Event)
        assert isinstance(told, PublicEvent)
        assert msgspec.json.decode(msgspec.json.encode(told), type=type(told)) == told
