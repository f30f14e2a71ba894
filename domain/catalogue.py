"""Everything that can have happened: each topic, the class it is read into, and how old topics are read as new ones."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

import msgspec

from domain.account import ACCOUNT, AccountEvent
from domain.announcement import ANNOUNCEMENTS, AnnouncementEvent
from domain.api_key import API_KEY, ApiKeyEvent
from domain.backend import BACKEND, BackendEvent
from domain.batch import BATCH, BatchEvent
from domain.collection import COLLECTION, CollectionEvent
from domain.comment import COMMENT, CommentEvent
from domain.desk import DESK, DeskEvent
from domain.event import AnyDecider, Event, topic
from domain.follow import FOLLOW, FollowEvent
from domain.gate import GATE, GateEvent
from domain.handling import HANDLING, HandlingEvent
from domain.input import INPUT, InputEvent
from domain.input_name import INPUT_NAME, InputNameEvent
from domain.like import LIKE, LikeEvent
from domain.limits import LIMITS, LimitsEvent
from domain.lora import SHELF, LoraEvent
from domain.model import MODELS, ModelEvent
from domain.notice import NOTICES, NoticeEvent
from domain.output_like import OUTPUT_LIKE, OutputLikeEvent
from domain.personal import PersonalTextError, personal_fields
from domain.preset import PRESET, PresetEvent
from domain.profile import PROFILE, ProfileEvent
from domain.projection import PROJECTION, ProjectionEvent
from domain.queue import QUEUE, QueueEvent
from domain.report import REPORT, ReportEvent
from domain.reservation import RESERVATION, ReservationEvent
from domain.run import RUN, RunEvent
from domain.share import SHARE, ShareEvent
from domain.shared_output import SHARED_OUTPUT, SharedOutputEvent
from domain.template import TEMPLATE, TemplateEvent
from domain.webhook import WEBHOOK, WebhookEvent
from domain.words import WORDS, WordsEvent
from domain.workflow import WORKFLOW, WorkflowEvent

Upcast = tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]
"""The topic that replaced an older one, and how the older one's fields become the newer one's."""


class UnknownTopicError(Exception):
    """The log holds an event that this version of the program does not know."""


class Catalogue:
    """Reads and writes stored events. One decoder a topic, made once."""

    def __init__(self, events: Iterable[type[Event]], upcasts: Mapping[str, Upcast] | None = None) -> None:
        self.events = {topic(event): event for event in events}
        self.personal = {event: names for event in self.events.values() if (names := personal_fields(event))}
        """The events with personal fields, and those fields' names."""
        self._upcasts = dict(upcasts or {})
        self._decoders = {name: msgspec.json.Decoder(event) for name, event in self.events.items()}
        self._encode = msgspec.json.Encoder().encode

    def encode(self, event: Event) -> bytes:
        """Raises PersonalTextError."""
        names = self.personal.get(type(event), ())
        if names and any(getattr(event, name).text is not None for name in names if getattr(event, name)):
            raise PersonalTextError(f"{topic(event)} is stored without the text of its personal fields.")
        return self._encode(event)

    def decode(self, topic_name: str, state: bytes) -> Event:
        """Raises UnknownTopicError, msgspec.ValidationError."""
        decoder = self._decoders.get(topic_name)
        if decoder is not None:
            return decoder.decode(state)
        if topic_name not in self._upcasts:
            raise UnknownTopicError(f"No event is called {topic_name!r}.")
        fields = msgspec.json.decode(state)
        while topic_name in self._upcasts:
            topic_name, change = self._upcasts[topic_name]
            fields = change(fields) | {"topic": topic_name}
        return msgspec.convert(fields, self.events[topic_name])


UNIONS: tuple[Any, ...] = (
    AccountEvent,
    ReservationEvent,
    WorkflowEvent,
    RunEvent,
    BatchEvent,
    InputEvent,
    InputNameEvent,
    DeskEvent,
    BackendEvent,
    ApiKeyEvent,
    WebhookEvent,
    ProjectionEvent,
    LoraEvent,
    QueueEvent,
    LimitsEvent,
    GateEvent,
    ModelEvent,
    AnnouncementEvent,
    TemplateEvent,
    LikeEvent,
    PresetEvent,
    CommentEvent,
    FollowEvent,
    ProfileEvent,
    HandlingEvent,
    ReportEvent,
    NoticeEvent,
    ShareEvent,
    SharedOutputEvent,
    OutputLikeEvent,
    CollectionEvent,
    WordsEvent,
)
DECIDERS: dict[str, AnyDecider] = {
    decider.kind: decider
    for decider in (
        *(ACCOUNT, RESERVATION, WORKFLOW, RUN, BATCH, INPUT, INPUT_NAME, DESK),
        *(BACKEND, API_KEY, WEBHOOK, PROJECTION, SHELF),
        *(QUEUE, LIMITS, GATE, MODELS, ANNOUNCEMENTS, TEMPLATE, PRESET),
        *(LIKE, COMMENT, FOLLOW, PROFILE, HANDLING, REPORT, NOTICES, SHARE),
        *(SHARED_OUTPUT, OUTPUT_LIKE, COLLECTION, WORDS),
    )
}


def members(union: Any) -> tuple[type[Event], ...]:
    """The classes of a union, which may be one class alone."""
    return get_args(union) or (union,)


def _once_in_the_clear(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"username": {"sealed": "", "text": fields["username"]}}


UPCASTS: dict[str, Upcast] = {"account.registered.v1": ("account.registered.v2", _once_in_the_clear)}
CATALOGUE = Catalogue((event for union in UNIONS for event in members(union)), UPCASTS)
