"""The LoRAs that a graph names, found on the shelves of who wants it executed; and why one would not work.

A plain name is looked for on one's own shelf. What is not there is the backend's own business: it may have a file of
that name. `user-<uuid>/<file>` names one LoRA of one account, one's own or one that is shared.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from commands.base_models import of_checkpoint, told_of
from commands.gate import NO_LORAS
from commands.known_backends import Surroundings
from commands.known_models import usable
from commands.needs import Needs
from domain.ids import AccountId, LoraId, shelf_id
from domain.lora import SHELF, Lora, Shelf, graph_path, may_use, read_path
from domain.refusals import FieldError, Invalid
from domain.workflow import Content
from workflows.families import TITLES
from workflows.graph import read_graph
from workflows.inventory import Inventory
from workflows.loras import OTHERS, Reference, checkpoint_of, references, resolved, strangers
from workflows.models import LORA_FOLDER

MAX_LORAS = 64  # of one run
NOT_POSSIBLE = "A LoRA that the graph names cannot be used."
UNKNOWN = "There is no such LoRA on your shelf, nor is one shared with you."
NOT_A_LOADER = "This leads into an account's folder. Only LoRA loaders may name what is there."


class Found(Struct, frozen=True):
    """What a name in a graph stands for: a LoRA of somebody's (`lora`), something of the backend's own, or nothing."""

    name: str
    owner: AccountId | None = None
    lora: Lora | None = None
    reason: str = ""


class Shelves:
    """The shelves that one request looks at, each once."""

    def __init__(self, by: AccountId, needs: Needs) -> None:
        self._by = by
        self._needs = needs
        self._shelves: dict[AccountId, Shelf] = {}

    async def find(self, name: str) -> Found:
        path = read_path(name)
        if path is not None:
            shelf = await self._shelf(path.owner)
            lora = next((each for each in shelf.loras if each.file == path.file), None)
            if lora is not None and may_use(shelf, lora, by=self._by):
                return Found(name, path.owner, lora)
        elif not OTHERS.search(name):
            lora = (await self._shelf(self._by)).named(name)
            return Found(name, self._by if lora else None, lora)
        return Found(name, reason=UNKNOWN)

    async def _shelf(self, owner: AccountId) -> Shelf:
        if owner not in self._shelves:
            self._shelves[owner], _ = await self._needs.streams.load(SHELF, shelf_id(owner))
        return self._shelves[owner]


async def resolve(graph: Mapping[str, Any], by: AccountId, needs: Needs) -> dict[str, Any] | None:
    """The graph with LoRAs by their paths. None: it names none of anybody's. Raises Invalid, naming node and input."""
    errors = [FieldError(f"graph.{node}.inputs.{input}", NOT_A_LOADER) for node, input in strangers(graph)]
    named = references(graph)
    if not named and not errors:
        return None
    if len({each.name for each in named}) > MAX_LORAS:
        raise Invalid(NOT_POSSIBLE, FieldError("graph", f"A run may have {MAX_LORAS} LoRAs at most."))
    shelves, names = Shelves(by, needs), dict[str, str]()
    fitting = Fitting(by, await needs.backends.now(), needs)
    for each in named:
        found = await shelves.find(each.name)
        reason = found.reason or await fitting.unfit(found, checkpoint_of(graph, each.node))
        if reason:
            errors.append(FieldError(_path(each), reason))
        elif found.lora is not None and found.owner is not None:
            names[each.name] = graph_path(found.owner, found.lora.file)
    if errors:
        raise Invalid(NOT_POSSIBLE, *errors[:20])
    return resolved(graph, names) if names else None


async def with_loras(graph: Content, by: AccountId, needs: Needs) -> Content:
    """A stored graph as it is to be executed. Raises Invalid."""
    body = await needs.contents.get(graph.digest)
    if body is None:
        raise LookupError(f"The graph {graph.digest} is not among the contents.")
    found = await resolve(msgspec.json.decode(body), by, needs)
    if found is None:
        return graph
    read = read_graph(found)
    return Content(await needs.contents.put(read.body), len(read.body))


class Verified(Struct, frozen=True, kw_only=True):
    """Whether one name would work here, and why not. `node` and `input`: where a graph says it."""

    name: str
    works: bool
    reasons: tuple[str, ...]
    lora: LoraId | None = None
    owner: AccountId | None = None
    graph_name: str | None = None
    base_model: str = ""
    node: str | None = None
    input: str | None = None


async def verify(
    names: Sequence[tuple[str, str | None, Reference | None]], by: AccountId, needs: Needs
) -> list[Verified]:
    """Each a name, the checkpoint it is meant for if that is known, and where a graph says it. Nothing changes."""
    shelves = Shelves(by, needs)
    view = await needs.backends.now()
    fitting = Fitting(by, view, needs)
    live = [
        each.inventory
        for each in view.backends
        if each.state.live and each.serves(by) and each.inventory is not None
    ]
    verified = []
    for name, checkpoint, at in names:
        found = await shelves.find(name)
        reasons = [found.reason, await fitting.unfit(found, checkpoint), _nowhere(found, live)]
        if found.lora is None and not found.reason and any(_installed(name, each) for each in live):
            reasons = reasons[:2] if await usable(LORA_FOLDER, name, by, view, needs) else reasons
        told = tuple(reason for reason in reasons if reason)
        verified.append(_verified(found, told, at, await fitting.made_for(found)))
    return verified


class Fitting:
    """Which LoRA belongs to which checkpoint, where both tell what they are."""

    def __init__(self, by: AccountId, view: Surroundings, needs: Needs) -> None:
        self._by = by
        self._view = view
        self._needs = needs

    async def unfit(self, found: Found, checkpoint: str | None) -> str:
        """Why a LoRA would change nothing; else empty."""
        if checkpoint is None or found.reason:
            return ""
        family = await of_checkpoint(checkpoint, self._by, self._view, self._needs)
        made_for = await self.made_for(found) if family else ""
        if not made_for or made_for == family:
            return ""
        return (
            f"The LoRA is made for {TITLES.get(made_for, made_for)}, but {checkpoint[:100]!r} "
            f"is {TITLES[family]}: it would change nothing."
        )

    async def made_for(self, found: Found) -> str:
        """What lies on the backends is asked as its checkpoints are."""
        if found.lora is not None:
            return found.lora.summary.base_model
        if found.reason:
            return ""
        return await told_of(found.name, (LORA_FOLDER,), self._by, self._view, self._needs) or ""


def _nowhere(found: Found, live: Sequence[Inventory]) -> str:
    """Why no backend could have it, as far as backends are known."""
    if found.reason:
        return ""
    if found.lora is None:
        return UNKNOWN if not live else f"{UNKNOWN} No backend that is here has a file of this name."
    return NO_LORAS if live and not any(each.takes_loras for each in live) else ""


def _installed(name: str, inventory: Inventory) -> bool:
    return any(name in each.get("loras", ()) for each in (inventory.models, inventory.choices))


def _verified(found: Found, reasons: tuple[str, ...], at: Reference | None, base_model: str) -> Verified:
    lora, owner = found.lora, found.owner
    return Verified(
        name=found.name,
        works=not reasons,
        reasons=reasons,
        lora=lora.id if lora else None,
        owner=owner,
        graph_name=graph_path(owner, lora.file) if lora and owner else None,
        base_model=base_model,
        node=at.node if at else None,
        input=at.input if at else None,
    )


def _path(reference: Reference) -> str:
    return f"graph.{reference.node}.inputs.{reference.input}"
