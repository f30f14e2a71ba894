"""Every decider there is, told whatever in whatever order: the log alone tells its state, asking again adds nothing.

Deciders come from the catalogue and decisions from their modules, so that a new one is tried without being listed here.
"""

import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import domain
from domain.account import Role
from domain.catalogue import CATALOGUE, DECIDERS, UNIONS, members
from domain.event import AnyDecider, Event, kind, topic
from domain.gate import BOUNDS
from domain.ids import AccountId, RunId
from domain.lora import LoraUploaded, Quota
from domain.personal import Personal
from domain.refusals import DomainError
from domain.run import Run, RunSubmitted, Status
from domain.shared_output import OutputPublished, SharedOutput
from domain.workflow import Content, Requirements, SavedVersion, Workflow
from tests.domain.facts import NOON, content, output

IDS = [UUID(int=number) for number in (1, 2, 3)]
WORDS = ["a", "Portrait", "face", "Because.", "production", "https://example.org/hooks", ""]
MODULES = [
    importlib.import_module(f"domain.{module.name}") for module in pkgutil.iter_modules(domain.__path__)
]
AGAIN = {
    ("account", "change_password"),  # a second password of the same letters is another password
    ("workflow", "save_version"),
}
SOME = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def decisions(decider: AnyDecider) -> list[Callable[..., Any]]:
    """Functions of the domain from this decider's state, and whatever else, to a list of events."""
    state, found = type(decider.initial), []
    for module in MODULES:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("_") or function.__module__ != module.__name__:
                continue
            hints = typing.get_type_hints(function)
            returned = hints.pop("return", None)
            first = next(iter(hints.values()), None)
            if first is state and typing.get_origin(returned) in (list, Sequence):
                found.append(function)
    return found


def values(hint: Any) -> some.SearchStrategy[Any]:
    """A few values of a type: so few that they meet."""
    while hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in SIMPLE:
        return SIMPLE[hint]
    if isinstance(hint, type) and issubclass(hint, str) and hasattr(hint, "__members__"):
        return some.sampled_from(hint)
    if origin is tuple or origin in (list, Sequence) or hint is tuple:
        return some.lists(values(inner[0]), max_size=2).map(tuple)
    if origin is dict or (inspect.isclass(origin) and issubclass(origin, typing.Mapping)):
        return some.dictionaries(values(inner[0]), values(inner[1]), max_size=2)
    if origin is typing.Annotated:
        return values(inner[0])
    if origin in (typing.Union, types.UnionType):
        return some.one_of(*(values(each) for each in inner))
    if origin is typing.Literal:
        return some.sampled_from(inner)
    if inspect.isclass(origin) and origin.__name__ in ("Collection", "Set", "frozenset"):
        return some.frozensets(values(inner[0]), max_size=3)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = typing.get_type_hints(hint)
        fields = {field.name: values(hints[field.name]) for field in msgspec.structs.fields(hint)}
        return some.builds(hint, **fields)
    raise AssertionError(f"Say in SIMPLE what a {hint} may be.")


SIMPLE: dict[Any, some.SearchStrategy[Any]] = {
    UUID: some.sampled_from(IDS),
    str: some.sampled_from(WORDS),
    int: some.integers(0, 5),
    float: some.sampled_from([0.5, 1.0]),
    bool: some.booleans(),
    bytes: some.just(b"x"),
    type(None): some.none(),
    type(NOON): some.sampled_from([NOON, NOON + timedelta(hours=1)]),
    timedelta: some.sampled_from([timedelta(), timedelta(hours=1)]),
    Role: some.sampled_from(Role),
    Content: some.sampled_from([content("a"), content("b")]),
    Personal: some.just(Personal("c2VhbGVk")),
    Quota: some.just(Quota(3, 10_000)),
    Workflow: some.builds(
        Workflow,
        owner=some.sampled_from(IDS),
        name=some.just("Portrait"),
        public=some.booleans(),
        hidden=some.booleans(),
        versions=some.just((SavedVersion(content("a"), None, Requirements()),)),
    ),
    RunSubmitted: some.builds(
        RunSubmitted,
        owner=some.sampled_from(IDS),
        graph=some.sampled_from([content("a"), content("b")]),
        priority=some.integers(0, 5),
        timeout_s=some.integers(0, 5),
    ),
    Run: some.builds(
        Run,
        owner=some.sampled_from(IDS),
        status=some.sampled_from([Status.SUCCEEDED, Status.RUNNING, Status.DELETED]),
        outputs=some.just(((output.node, output.index, output.size_bytes),)),
    ),
    OutputPublished: some.builds(
        OutputPublished,
        owner=some.just(AccountId(IDS[0])),
        run=some.just(RunId(IDS[1])),
        output=some.just(output),
        name=some.sampled_from(["A fox", "A vixen"]),
        sensitive=some.booleans(),
    ),
    SharedOutput: some.builds(
        SharedOutput,
        owner=some.sampled_from(IDS),
        shown=some.just(
            OutputPublished(owner=AccountId(IDS[0]), run=RunId(IDS[1]), output=output, name="A fox")
        ),
        public=some.booleans(),
        hidden=some.booleans(),
    ),
    LoraUploaded: some.builds(
        LoraUploaded,
        owner=some.just(IDS[0]),
        lora=some.sampled_from(IDS),
        name=some.sampled_from(["Soft", "Hard"]),
        file=some.just(f"soft-{'a' * 64}.safetensors"),
        content=some.sampled_from([content("a"), content("b")]),
    ),
}
NAMED = {
    ("change_rules", "limits"): some.dictionaries(
        some.sampled_from(sorted(BOUNDS)), some.integers(1, 9), max_size=2
    )
}
"""Parameters whose type does not tell enough: function and name."""


def wishes(decider: AnyDecider) -> some.SearchStrategy[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    """A decision with its arguments; other states it looks at are as the decisions leave them at first."""
    return some.one_of([_wish(each) for each in decisions(decider)])


def _wish(decide: Callable[..., Any]) -> some.SearchStrategy[Any]:
    hints = typing.get_type_hints(decide)
    parameters = list(inspect.signature(decide).parameters.values())[1:]
    placed = [values(hints[each.name]) for each in parameters if each.kind is not each.KEYWORD_ONLY]
    named = {
        each.name: NAMED[at] if (at := (decide.__name__, each.name)) in NAMED else values(hints[each.name])
        for each in parameters
        if each.kind is each.KEYWORD_ONLY
    }
    return some.tuples(some.just(decide), some.tuples(*placed), some.fixed_dictionaries(named))


def test_none_is_missing() -> None:
    """Every event belongs to a decider of the catalogue, and every decider of the domain stands there."""
    kinds = {kind(topic(event)) for union in UNIONS for event in members(union)}
    assert kinds == set(DECIDERS)
    found = {
        value.kind
        for module in MODULES
        for value in vars(module).values()
        if type(value).__name__ == "Decider" and hasattr(value, "evolve")
    }
    assert found == set(DECIDERS)
    for name, decider in DECIDERS.items():
        assert decisions(decider), f"{name} decides nothing"


@pytest.mark.parametrize("name", sorted(DECIDERS))
def test_the_log_alone_tells_the_state_and_asking_again_adds_nothing(name: str) -> None:
    decider, decided = DECIDERS[name], 0

    @SOME
    @given(asked=some.lists(wishes(decider), max_size=25))
    def told(asked: list[tuple[Any, tuple[Any, ...], dict[str, Any]]]) -> None:
        nonlocal decided
        state, history = decider.initial, list[Event]()
        for decide, placed, named in asked:
            try:
                events = list(decide(state, *placed, **named))
            except DomainError:
                continue
            decided += len(events)
            state, history = decider.fold(state, events), [*history, *events]
            if events and (name, decide.__name__) not in AGAIN:
                assert again(decide, state, placed, named) == [], f"{decide.__name__} twice adds something"
        stored = [CATALOGUE.decode(topic(event), CATALOGUE.encode(event)) for event in history]
        assert decider.fold(decider.initial, stored) == state

    told()
    assert decided, f"no decision of {name} was ever taken: give it values that it takes"


def again(decide: Any, state: Any, placed: tuple[Any, ...], named: dict[str, Any]) -> list[Event]:
    try:
        return list(decide(state, *placed, **named))
    except DomainError:
        return []
