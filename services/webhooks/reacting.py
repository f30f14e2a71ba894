"""From public events to deliveries: each endpoint as it was at that place of the log, each event once."""

from collections.abc import Callable, Sequence
from typing import get_args
from uuid import UUID, uuid5

from domain import webhook
from domain.account import AccountErased
from domain.event import AnyRecorded
from domain.ids import AccountId, Position
from domain.public import public
from domain.public_events import FOR_EVERYBODY, PublicEvent
from domain.webhook import (
    WEBHOOK,
    Webhook,
    WebhookChanged,
    WebhookCreated,
    WebhookDeleted,
    WebhookDisabled,
    WebhookEvent,
    WebhookPaused,
    WebhookResumed,
)
from services.ports.delivering import Effect, Endpoint, Ledger, Made
from services.telling import public_type

NAME = "webhooks"
OF_WEBHOOK = get_args(WebhookEvent)
AT_ONCE = 5000  # deliveries in one transaction
UNSTORED = 1000  # events without effect that may come again after a crash


class Delivering:
    """The reaction. `wake` is called when there is something to send."""

    name = NAME

    def __init__(self, ledger: Ledger, wake: Callable[[], None]) -> None:
        self._ledger = ledger
        self._wake = wake
        self._position = Position(0)
        self._any = True

    async def position(self) -> Position:
        self._position, self._any = await self._ledger.position(), await self._ledger.any()
        return self._position

    async def take(self, events: Sequence[AnyRecorded], upto: Position) -> bool:
        step = _Step(await self._concerned(events))
        for recorded in events:
            step.add(recorded)
            if len(step.made) >= AT_ONCE:
                step = await self._store(step, recorded.position)
        had_effect = bool(step.endpoints) or step.has_effect
        if had_effect or not events or upto - self._position >= UNSTORED:
            await self._store(step, upto)
        return had_effect

    async def _concerned(self, events: Sequence[AnyRecorded]) -> dict[UUID, Webhook]:
        """The endpoints that these events may change, or may be sent to."""
        changes = {recorded.stream for recorded in events if _is_of_webhook(recorded)}
        if not changes and not self._any:
            return {}
        told = [(recorded, public(recorded)) for recorded in events]
        owners = {recorded.owner for recorded, event in told if event is not None and recorded.owner}
        owners |= {
            AccountId(recorded.stream) for recorded in events if isinstance(recorded.event, AccountErased)
        }
        everybodys = any(isinstance(event, FOR_EVERYBODY) for _, event in told)
        if not changes and not owners and not everybodys:
            return {}
        found = await self._ledger.endpoints(changes, owners, everybodys=everybodys)
        return {endpoint.id: endpoint.state for endpoint in found}

    async def _store(self, step: "_Step", upto: Position) -> "_Step":
        if upto == self._position:
            return step
        await self._ledger.store(step.effect(), before=self._position, upto=upto)
        self._position = upto
        self._any = self._any or bool(step.changed)
        if step.made or step.changed:
            self._wake()
        return _Step(step.endpoints)


def made(id: UUID, recorded: AnyRecorded, event: PublicEvent) -> Made:
    """The delivery of an event to an endpoint: however often it is made, it is the same one."""
    return Made(uuid5(id, str(recorded.position)), id, recorded.position, public_type(type(event)))


class _Step:
    """Effects gathered until they are stored."""

    def __init__(self, endpoints: dict[UUID, Webhook]) -> None:
        self.endpoints = endpoints
        self.made: list[Made] = []
        self.changed: set[UUID] = set()
        self._stopped: dict[UUID, Position] = {}
        self._retried: set[UUID] = set()
        self._forgotten: set[UUID] = set()
        self._deleted: set[UUID] = set()

    def add(self, recorded: AnyRecorded) -> None:
        if _is_of_webhook(recorded):
            self._change(recorded)
        elif isinstance(recorded.event, AccountErased):
            self._deleted |= {id for id, state in self.endpoints.items() if state.owner == recorded.stream}
            self.endpoints = {id: self.endpoints[id] for id in self.endpoints.keys() - self._deleted}
        elif self.endpoints and (event := public(recorded)) is not None:
            self._tell(recorded, event)

    @property
    def has_effect(self) -> bool:
        return bool(
            self.made or self.changed or self._stopped or self._retried or self._forgotten or self._deleted
        )

    def effect(self) -> Effect:
        return Effect(
            made=[each for each in self.made if each.webhook not in self._deleted],
            changed=[Endpoint(id, self.endpoints[id]) for id in self.changed - self._deleted],
            stopped=self._stopped,
            retried=self._retried,
            forgotten=self._forgotten,
            deleted=self._deleted,
        )

    def _change(self, recorded: AnyRecorded) -> None:
        id = recorded.stream
        before = self.endpoints.get(id, WEBHOOK.initial)
        if before.owner is None and not isinstance(recorded.event, WebhookCreated):
            return  # its account was erased meanwhile
        after = WEBHOOK.evolve(before, recorded.event)
        self.endpoints[id] = after
        self.changed.add(id)
        self._forgotten |= webhook.kept(before) - webhook.kept(after)
        match recorded.event:
            case WebhookPaused() | WebhookDisabled():
                self._stopped[id] = recorded.position
            case WebhookDeleted():
                self._deleted.add(id)
            case WebhookResumed():
                self._retried.add(id)
            case WebhookChanged(address=address) if address is not None:
                self._retried.add(id)

    def _tell(self, recorded: AnyRecorded, event: PublicEvent) -> None:
        type_name, for_all = public_type(type(event)), isinstance(event, FOR_EVERYBODY)
        for id, state in self.endpoints.items():
            own = state.owner == recorded.owner
            if (own or for_all) and webhook.wants(state, type_name, own=own):
                self.made.append(made(id, recorded, event))


def _is_of_webhook(recorded: AnyRecorded) -> bool:
    return isinstance(recorded.event, OF_WEBHOOK)
