"""Which node of one graph is which of another.

Two nodes are the same when, from here to all sources and all consumers, everything is the same, whatever the ids;
then when they compute the same from the same sources; then when id and class agree; then when they are the only
ones left of their class, or agree in it and in at least half of their inputs. Nodes that cannot be told apart are
kept with the neighbours of those already matched, so that two copies of one chain are not matched crosswise.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from workflows.graph import Graph, Node, is_link, links

Colours: TypeAlias = dict[str, bytes]
"""Of each node's id, a digest: equal where two nodes are to be taken for the same."""

ROUNDS = 4  # of looking up and down the graphs; each sees around one more bend of the wires
LOOKED_AT = 8  # nodes of which the most similar is chosen: keeps thousands of changed nodes affordable
ALIKE = 0.5
_Having: TypeAlias = tuple[str, str, bytes]  # a class, the name of an input, its token
EXACT = 2**53  # below, a float that is a whole number is that number


def matched(before: Graph, after: Graph) -> dict[str, str]:
    """Node of the one -> node of the other, in the order of the first."""
    matching = _Matching(before, after)
    sources = _from_sources(before, _own(before)), _from_sources(after, _own(after))
    matching.by_colour(*_by_everything(before, after, sources))
    matching.by_colour(*sources)
    matching.by_id()
    matching.by_class()
    matching.by_likeness()
    return {id: matching.pairs[id] for id in before if id in matching.pairs}


def token(value: Any, ids: Mapping[str, str] | None = None) -> bytes:
    """Equal for inputs that mean the same. `ids`: what the nodes that links come from are called now."""
    if is_link(value):
        source = value[0] if ids is None else ids.get(value[0])
        return b"link" + msgspec.json.encode([source, value[1]])
    return b"is" + msgspec.json.encode(_canonical(value), order="sorted")


def _canonical(value: Any) -> Any:
    """JSON does not tell 1.0 from 1, and editors write either."""
    if isinstance(value, float) and abs(value) < EXACT and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(each) for each in value]
    if isinstance(value, dict):
        return {name: _canonical(each) for name, each in value.items()}
    return value


class _Matching:
    def __init__(self, before: Graph, after: Graph) -> None:
        self.before, self.after = before, after
        self.pairs: dict[str, str] = {}
        self._taken: set[str] = set()
        self._consumers = _consumers(before), _consumers(after)

    def by_colour(self, old_colours: Colours, new_colours: Colours) -> None:
        """Equal ones, those with the same id first; whoever is matched draws its neighbours along."""
        free: dict[bytes, dict[str, None]] = defaultdict(dict)
        for new, colour in new_colours.items():
            if new not in self._taken:
                free[colour][new] = None

        def draw(old: str, new: str) -> None:
            waiting = [(old, new)]
            while waiting:
                one, other = waiting.pop()
                if one in self.pairs or other in self._taken or old_colours[one] != new_colours[other]:
                    continue
                self._pair(one, other)
                del free[new_colours[other]][other]
                waiting += self._neighbours(one, other, old_colours, new_colours)

        for old in self.before:
            if old not in self.pairs and old in free[old_colours[old]]:
                draw(old, old)
        for old in self.before:
            if old not in self.pairs and free[old_colours[old]]:
                draw(old, next(iter(free[old_colours[old]])))

    def by_id(self) -> None:
        for old, node in self.before.items():
            same = self.after.get(old)
            if (
                same is not None
                and old not in self.pairs
                and old not in self._taken
                and same.class_type == node.class_type
            ):
                self._pair(old, old)

    def by_class(self) -> None:
        left: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
        for old, node in self.before.items():
            if old not in self.pairs:
                left[node.class_type][0].append(old)
        for new, node in self.after.items():
            if new not in self._taken:
                left[node.class_type][1].append(new)
        for olds, news in left.values():
            if len(olds) == len(news) == 1:
                self._pair(olds[0], news[0])

    def by_likeness(self) -> None:
        tokens = {new: _tokens(node) for new, node in self.after.items() if new not in self._taken}
        having: dict[_Having, dict[str, None]] = defaultdict(dict)
        for new, each in tokens.items():
            for key in each.items():
                having[self.after[new].class_type, *key][new] = None
        for old, node in self.before.items():
            if old in self.pairs or (best := self._most_like(node, tokens, having)) is None:
                continue
            self._pair(old, best)
            for key in tokens[best].items():
                del having[node.class_type, *key][best]

    def _most_like(
        self,
        node: Node,
        tokens: Mapping[str, Mapping[str, bytes]],
        having: Mapping[_Having, Mapping[str, None]],
    ) -> str | None:
        own = _tokens(node, self.pairs)
        sharing = sorted((having.get((node.class_type, *key), {}) for key in own.items()), key=len)
        looked_at: dict[str, None] = {}
        for new in (new for group in sharing for new in group):
            looked_at[new] = None
            if len(looked_at) == LOOKED_AT:
                break
        scored = [(_likeness(own, tokens[new]), new) for new in looked_at]
        score, best = max(scored, key=lambda each: each[0], default=(0.0, None))
        return best if score >= ALIKE else None

    def _neighbours(
        self, old: str, new: str, old_colours: Colours, new_colours: Colours
    ) -> Iterator[tuple[str, str]]:
        """Pairs that follow from a pair: sources of the same input, and consumers of the same slot."""
        theirs = {name: source for name, source, _ in links(self.after[new])}
        for name, source, _ in links(self.before[old]):
            if source in self.before and theirs.get(name) in self.after:
                yield source, theirs[name]
        waiting: dict[tuple[bytes, str, str], dict[str, None]] = defaultdict(dict)
        for consumer, name, slot in self._consumers[1][new]:
            if consumer not in self._taken:
                waiting[new_colours[consumer], name, slot][consumer] = None
        for consumer, name, slot in self._consumers[0][old]:
            alike = waiting.get((old_colours[consumer], name, slot))
            if consumer not in self.pairs and alike:
                chosen = consumer if consumer in alike else next(iter(alike))
                del alike[chosen]
                yield consumer, chosen

    def _pair(self, old: str, new: str) -> None:
        self.pairs[old] = new
        self._taken.add(new)


def _tokens(node: Node, ids: Mapping[str, str] | None = None) -> dict[str, bytes]:
    return {name: token(value, ids) for name, value in node.inputs.items()}


def _likeness(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> float:
    """How many of the inputs of either agree, 0 to 1."""
    return len(one.items() & other.items()) / len(one.keys() | other.keys())


def _own(graph: Graph) -> Colours:
    """What each node is without its links."""
    return {
        id: _digest(
            node.class_type.encode(),
            *(
                msgspec.json.encode(name) + token(value)
                for name, value in sorted(node.inputs.items())
                if not is_link(value)
            ),
        )
        for id, node in graph.items()
    }


def _by_everything(before: Graph, after: Graph, colours: tuple[Colours, Colours]) -> tuple[Colours, Colours]:
    """The same with what each node is used for, until nothing more is told apart."""
    told_apart = [len(set(each.values())) for each in colours]
    for _ in range(ROUNDS):
        old, new = colours
        colours = _both_ways(before, old), _both_ways(after, new)
        now = [len(set(each.values())) for each in colours]
        if now == told_apart:
            break
        told_apart = now
    return colours


def _both_ways(graph: Graph, colours: Colours) -> Colours:
    """First learn of all consumers, then of all sources."""
    consumers = _consumers(graph)
    downward: Colours = {}
    for id in reversed(_sources_first(graph)):
        uses = (
            msgspec.json.encode([downward.get(consumer, b"").hex(), name, slot])
            for consumer, name, slot in consumers[id]
        )
        downward[id] = _digest(colours[id], *sorted(uses))
    return _from_sources(graph, downward)


def _from_sources(graph: Graph, own: Colours) -> Colours:
    """What each node computes: what it is and, through its links, its sources."""
    colours: Colours = {}
    for id in _sources_first(graph):
        inputs = (
            msgspec.json.encode([name, colours.get(value[0], b"").hex(), value[1]])
            for name, value in sorted(graph[id].inputs.items())
            if is_link(value)
        )
        colours[id] = _digest(own[id], *inputs)
    return colours


def _sources_first(graph: Graph) -> list[str]:
    """Every node after those it is computed from; those in a circle, and what hangs on them, at the end."""
    consumers = _consumers(graph)
    left = {
        id: len({value[0] for value in node.inputs.values() if is_link(value) and value[0] in graph})
        for id, node in graph.items()
    }
    order = [id for id, count in left.items() if not count]
    for id in order:  # grows meanwhile
        for consumer in {consumer for consumer, _, _ in consumers[id]}:
            left[consumer] -= 1
            if not left[consumer]:
                order.append(consumer)
    return [*order, *(id for id, count in left.items() if count)]


def _consumers(graph: Graph) -> dict[str, list[tuple[str, str, str]]]:
    """Of each node: who takes from it, by which input, from which slot."""
    found: dict[str, list[tuple[str, str, str]]] = {id: [] for id in graph}
    for id, node in graph.items():
        for name, value in node.inputs.items():
            if is_link(value) and value[0] in found:
                found[value[0]].append((id, name, msgspec.json.encode(value[1]).decode()))
    return found


def _digest(*parts: bytes) -> bytes:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(4, "big") + part)
    return whole.digest()
