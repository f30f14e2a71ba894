"""A shared output: one file of a run that its owner shows to everybody, with or without how it was made."""

from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.event import Decider, Event
from domain.ids import AccountId, RunId
from domain.outcome import Output
from domain.refusals import Conflict, NotFound
from domain.run import Run, Status, owned
from domain.workflow import Content
from domain.workflow_texts import checked_texts


class OutputPublished(Event, frozen=True, kw_only=True, tag="output.published.v1"):
    """`graph`, `values`: how it was made, where its owner shows that; values: of a form or parameters."""

    owner: AccountId
    run: RunId
    output: Output
    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    sensitive: bool = False
    graph: Content | None = None
    values: Content | None = None


class OutputWithdrawn(Event, frozen=True, kw_only=True, tag="output.withdrawn.v1"):
    run: RunId
    node: str
    index: int


class OutputHidden(Event, frozen=True, kw_only=True, tag="output.hidden.v1"):
    """By somebody who keeps order: only its owner sees it, and why."""

    run: RunId
    node: str
    index: int
    by: AccountId
    reason: str


class OutputShownAgain(Event, frozen=True, kw_only=True, tag="output.shown_again.v1"):
    """It is hidden no more; whether it is shown is its owner's wish."""

    run: RunId
    node: str
    index: int
    by: AccountId
    reason: str


class OutputMarked(Event, frozen=True, kw_only=True, tag="output.marked.v1"):
    """Not everybody wants to see it by chance; or they may. `judged`: a moderator says so, and why."""

    run: RunId
    node: str
    index: int
    by: AccountId
    sensitive: bool
    judged: bool = False
    reason: str = ""


SharedOutputEvent: TypeAlias = (
    OutputPublished | OutputWithdrawn | OutputHidden | OutputShownAgain | OutputMarked
)

NO_OUTPUT = "There is no such output."


class SharedOutput(Struct, frozen=True):
    """`shown`: what was published last, as it was; None before that."""

    owner: AccountId | None = None
    shown: OutputPublished | None = None
    public: bool = False
    hidden: bool = False
    sensitive: bool = False
    judged: bool = False


def evolve(shared: SharedOutput, event: SharedOutputEvent) -> SharedOutput:
    match event:
        case OutputPublished(owner=owner, sensitive=sensitive):
            return replace(shared, owner=owner, shown=event, public=True, sensitive=sensitive)
        case OutputWithdrawn():
            return replace(shared, public=False)
        case OutputHidden():
            return replace(shared, hidden=True)
        case OutputShownAgain():
            return replace(shared, hidden=False)
        case OutputMarked(sensitive=sensitive, judged=judged):
            return replace(shared, sensitive=sensitive, judged=judged)


SHARED_OUTPUT: Decider[SharedOutput, SharedOutputEvent] = Decider(
    "output", SharedOutput(), evolve, lambda shared: shared.owner
)


def publish(shared: SharedOutput, run: Run, *, published: OutputPublished) -> list[SharedOutputEvent]:
    """Show it to everybody, or say other things of what is shown. Of the run nothing else is shown."""
    owned(run, by=published.owner)
    if run.status is not Status.SUCCEEDED:
        raise Conflict("The run has not succeeded: its outputs are not settled.")
    if shared.hidden:
        raise Conflict("A moderator has hidden it: it cannot be published.")
    name, description, tags = checked_texts(published.name, published.description, published.tags)
    event = replace(
        published,
        name=name,
        description=description,
        tags=tags,
        sensitive=published.sensitive or (shared.judged and shared.sensitive),
    )
    same = (
        shared.public
        and shared.shown is not None
        and replace(shared.shown, sensitive=shared.sensitive) == event
    )
    return [] if same else [event]


def withdraw(shared: SharedOutput, *, by: AccountId) -> list[SharedOutputEvent]:
    """Show it to nobody any more."""
    if shared.owner != by or shared.shown is None:
        raise NotFound(NO_OUTPUT)
    return [OutputWithdrawn(**place(shared.shown))] if shared.public else []


def visible(shared: SharedOutput, run: Run, *, by: AccountId | None) -> OutputPublished:
    """What somebody may look at, while its run has it. Raises NotFound."""
    seen = shared.public and (not shared.hidden or shared.owner == by)
    if shared.shown is None or not seen or not there(shared.shown.output, run):
        raise NotFound(NO_OUTPUT)
    return shared.shown


def there(output: Output, run: Run) -> bool:
    """Whether the run has it still."""
    place = output.node, output.index
    return run.status is not Status.DELETED and any(each[:2] == place for each in run.outputs)


def place(shown: OutputPublished) -> dict[str, Any]:
    return {"run": shown.run, "node": shown.output.node, "index": shown.output.index}
