"""Given what happened, when somebody decides, then this happens: the way every decision is tested."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import pytest
from msgspec import Struct

from domain.event import Decider, Event
from domain.refusals import DomainError, Invalid

S = TypeVar("S")
E = TypeVar("E", bound=Event)


class Scenario(Struct, Generic[S, E], frozen=True):
    """run.given(queued, running).when(cancel, by=ANN).then(cancelled)"""

    decider: Decider[S, E]
    state: Any = None

    def given(self, *events: E) -> "Scenario[S, E]":
        state = self.decider.initial if self.state is None else self.state
        return Scenario(self.decider, self.decider.fold(state, events))

    def when(self, decide: Callable[..., Sequence[E]], **wish: Any) -> "Outcome[S, E]":
        state = self.decider.initial if self.state is None else self.state
        try:
            return Outcome(self.decider, state, decide, wish, tuple(decide(state, **wish)))
        except DomainError as refusal:
            return Outcome(self.decider, state, decide, wish, (), refusal)


class Outcome(Struct, Generic[S, E], frozen=True):
    decider: Decider[S, E]
    state: Any
    decide: Callable[..., Sequence[E]]
    wish: dict[str, Any]
    events: tuple[E, ...]
    refusal: DomainError | None = None

    def then(self, *events: E) -> "Outcome[S, E]":
        if self.refusal is not None:
            raise AssertionError(f"refused: {self.refusal}") from self.refusal
        assert self.events == events
        return self

    def then_nothing(self) -> None:
        self.then()

    def then_refused(self, kind: type[DomainError], says: str = "") -> None:
        assert type(self.refusal) is kind, f"not refused, but {self.events}"
        assert says in str(self.refusal)

    def then_invalid(self, field: str) -> None:
        assert isinstance(self.refusal, Invalid), f"not refused, but {self.events}"
        assert field in [error.field for error in self.refusal.errors]

    def and_again_nothing(self) -> None:
        """The same wish once more changes nothing: a repeated message does no harm."""
        after = self.decider.fold(self.state, self.events)
        assert list(self.decide(after, **self.wish)) == []

    def and_again_refused(self, kind: type[DomainError]) -> None:
        after = self.decider.fold(self.state, self.events)
        with pytest.raises(kind):
            self.decide(after, **self.wish)
