"""What is different between two graphs, and what only looks so."""

import random
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from workflows.diff import GraphDiff, InputChange, NewNode, NodeChange, NodeName, Source, Value, as_text, diff
from workflows.graph import Graph, Node, is_link
from workflows.matching import token

PORTRAIT: Graph = {
    "4": Node("CheckpointLoaderSimple", {"ckpt_name": "sd15.safetensors"}),
    "5": Node("EmptyLatentImage", {"width": 512, "height": 512}),
    "6": Node("CLIPTextEncode", {"clip": ["4", 1], "text": "a cat"}),
    "7": Node("CLIPTextEncode", {"clip": ["4", 1], "text": "blurry"}),
    "3": Node(
        "KSampler",
        {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0], "seed": 7},
    ),
    "8": Node("VAEDecode", {"samples": ["3", 0], "vae": ["4", 2]}),
    "9": Node("SaveImage", {"images": ["8", 0], "filename_prefix": "cat"}),
}
NOTHING = GraphDiff((), (), (), ())


def changed(graph: Graph, id: str, **inputs: Any) -> Graph:
    return graph | {id: Node(graph[id].class_type, graph[id].inputs | inputs)}


def renamed(graph: Graph, names: dict[str, str]) -> Graph:
    """The same graph under other ids."""

    def moved(value: Any) -> Any:
        return [names[value[0]], value[1]] if is_link(value) else value

    return {
        names[id]: Node(node.class_type, {name: moved(value) for name, value in node.inputs.items()})
        for id, node in graph.items()
    }


def shuffled(graph: Graph, chance: random.Random) -> Graph:
    """Renamed, and in another order; the new ids may be old ones of other nodes."""
    pool = [*graph, *(f"n{number}" for number in range(len(graph)))]
    names = dict(zip(graph, chance.sample(pool, len(graph)), strict=True))
    moved = list(renamed(graph, names).items())
    chance.shuffle(moved)
    return dict(moved)


def applied(before: Graph, difference: GraphDiff) -> Graph:
    """Do to a graph what a diff says."""
    gone = {name.id for name in difference.removed}
    names = {id: id for id in before if id not in gone} | dict(difference.renumbered)

    def raw(side: Any) -> Any:
        return [side.node, side.slot] if isinstance(side, Source) else side.value

    made: dict[str, dict[str, Any]] = {}
    for id in names:
        made[names[id]] = {
            name: [names.get(value[0]), value[1]] if is_link(value) else value
            for name, value in before[id].inputs.items()
        }
    for change in difference.changed:
        assert names[change.before.id] == change.after.id
        for each in change.inputs:
            made[change.after.id].pop(each.input, None)
            if each.after is not msgspec.UNSET:
                made[change.after.id][each.input] = raw(each.after)
    for node in difference.added:
        made[node.id] = {name: raw(side) for name, side in node.inputs.items()}
    classes = {names[id]: before[id].class_type for id in names} | {
        node.id: node.class_type for node in difference.added
    }
    return {id: Node(classes[id], inputs) for id, inputs in made.items()}


def same(one: Graph, other: Graph) -> bool:
    def comparable(graph: Graph) -> dict[str, Any]:
        return {
            id: (node.class_type, {name: token(value) for name, value in node.inputs.items()})
            for id, node in graph.items()
        }

    return comparable(one) == comparable(other)


def test_nothing_has_changed() -> None:
    assert diff(PORTRAIT, PORTRAIT) == NOTHING
    assert as_text(NOTHING) == ""
    assert diff({}, {}) == NOTHING


def test_a_changed_value_is_told_with_before_and_after() -> None:
    difference = diff(PORTRAIT, changed(PORTRAIT, "3", seed=8))
    sampler = NodeName("3", "KSampler")
    change = InputChange(input="seed", before=Value(7), after=Value(8))
    assert difference == GraphDiff((), (), (NodeChange(sampler, sampler, (change,)),), ())
    assert as_text(difference) == "~ 3 KSampler: seed 7 -> 8"


def test_a_node_put_between_two_others() -> None:
    lora = Node("LoraLoader", {"model": ["4", 0], "lora_name": "soft.safetensors"})
    difference = diff(PORTRAIT, changed(PORTRAIT, "3", model=["10", 0]) | {"10": lora})
    assert as_text(difference).splitlines() == [
        "+ 10 LoraLoader",
        "    model: 4 CheckpointLoaderSimple [0]",
        '    lora_name: "soft.safetensors"',
        "~ 3 KSampler: model 4 CheckpointLoaderSimple [0] -> 10 LoraLoader [0]",
    ]
    assert difference.added[0].inputs["lora_name"] == Value("soft.safetensors")
    assert difference.changed[0].inputs[0].rewired


def test_a_node_is_gone_and_so_is_an_input() -> None:
    without = {id: node for id, node in PORTRAIT.items() if id != "7"}
    sampler = {name: value for name, value in PORTRAIT["3"].inputs.items() if name != "negative"}
    difference = diff(PORTRAIT, without | {"3": Node("KSampler", sampler)})
    assert as_text(difference).splitlines() == [
        "- 7 CLIPTextEncode",
        "~ 3 KSampler: negative is gone, was 7 CLIPTextEncode [0]",
    ]


def test_other_numbers_alone_are_no_change() -> None:
    other = renamed(PORTRAIT, {id: str(int(id) + 100) for id in PORTRAIT})
    difference = diff(PORTRAIT, other)
    assert difference.empty
    assert dict(difference.renumbered) == {id: str(int(id) + 100) for id in PORTRAIT}
    assert "= 4 is now 104" in as_text(difference).splitlines()


def test_a_change_is_found_under_other_numbers_too() -> None:
    for id, inputs in (
        ("4", {"ckpt_name": "xl"}),
        ("6", {"text": "a dog"}),
        ("9", {"filename_prefix": "dog"}),
    ):
        other = renamed(changed(PORTRAIT, id, **inputs), {each: f"n{each}" for each in PORTRAIT})
        difference = diff(PORTRAIT, other)
        assert (difference.added, difference.removed) == ((), ())
        assert [change.before.id for change in difference.changed] == [id]
        assert [each.input for each in difference.changed[0].inputs] == list(inputs)


def test_of_equal_nodes_the_one_with_the_same_id_stays() -> None:
    twins = {"a": Node("Load", {"image": "x"}), "b": Node("Load", {"image": "x"})}
    difference = diff(twins, {"b": twins["b"]})
    assert (difference.removed, difference.renumbered) == ((NodeName("a", "Load"),), ())


def test_two_equal_chains_are_not_matched_crosswise() -> None:
    def chain(name: str) -> Graph:
        return {
            f"{name}1": Node("Load", {"image": "x"}),
            f"{name}2": Node("Blur", {"image": [f"{name}1", 0]}),
            f"{name}3": Node("Save", {"image": [f"{name}2", 0], "mask": [f"{name}1", 1]}),
        }

    one = chain("a") | chain("b")
    other = dict(reversed((chain("c") | chain("d")).items()))
    assert diff(one, other).empty


def test_sharing_a_source_is_another_graph_than_having_two() -> None:
    two = {
        "1": Node("L", {}),
        "2": Node("L", {}),
        "3": Node("S", {"x": ["1", 0]}),
        "4": Node("S", {"x": ["2", 0]}),
    }
    shared = {"1": two["1"], "3": two["3"], "4": Node("S", {"x": ["1", 0]})}
    assert as_text(diff(two, shared)).splitlines() == ["- 2 L", "~ 4 S: x 2 L [0] -> 1 L [0]"]
    assert as_text(diff(shared, two)).splitlines() == ["+ 2 L", "~ 4 S: x 1 L [0] -> 2 L [0]"]


def test_true_is_not_one_but_one_point_nought_is() -> None:
    def with_value(value: Any) -> Graph:
        return {"1": Node("A", {"x": value, "deep": {"a": [value, None]}})}

    assert len(diff(with_value(True), with_value(1)).changed[0].inputs) == 2
    assert diff(with_value(1.0), with_value(1)).empty
    assert diff(with_value(0), with_value(False)).changed
    assert diff(with_value(None), with_value(0)).changed
    assert diff(with_value(1e300), with_value(1e300)).empty


def test_another_class_is_another_node() -> None:
    difference = diff({"1": Node("A", {"x": 1})}, {"1": Node("B", {"x": 1})})
    assert difference == GraphDiff((NewNode("1", "B", {"x": Value(1)}),), (NodeName("1", "A"),), (), ())


def test_a_value_that_looks_like_a_link_shown_is_no_link() -> None:
    one = {"1": Node("A", {"x": {"node": "2", "class_type": "B", "slot": 0}}), "2": Node("B", {})}
    other = {"1": Node("A", {"x": ["2", 0]}), "2": Node("B", {})}
    (change,) = diff(one, other).changed[0].inputs
    assert isinstance(change.before, Value)
    assert change.after == Source("2", "B", 0)
    assert change.rewired


def test_the_text_is_one_line_each_and_obeyed_by_no_terminal() -> None:
    evil = "\x1b[2J\n\x9b31m\u202e\x7f"
    text = as_text(diff({}, {evil: Node(evil, {evil: evil, "long": "x" * 500})}))
    assert all(line.isprintable() and len(line) < 600 for line in text.split("\n"))
    assert len(text.split("\n")) == 3


def test_what_links_nowhere_is_compared_all_the_same() -> None:
    one, other = {"1": Node("A", {"x": ["7", 0]})}, {"1": Node("A", {"x": ["8", 0]})}
    assert diff(one, one).empty
    assert "(no such node)" in as_text(diff(one, other))


@pytest.mark.timeout(20)
def test_circles_hang_nothing() -> None:
    ring = {str(n): Node("A", {"x": [str((n + 1) % 50), 0]}) for n in range(50)}
    itself = {"1": Node("A", {"x": ["1", 0]})}
    assert diff(ring, ring).empty
    assert diff(itself, itself).empty
    diff(ring, itself)
    diff(ring, renamed(ring, {id: f"n{id}" for id in ring}))


@some.composite
def graphs(draw: Any) -> Graph:
    """Small, with many nodes that are equal."""
    graph: Graph = {}
    for number in range(draw(some.integers(0, 9))):
        inputs: dict[str, Any] = {}
        for name in draw(some.lists(some.sampled_from("xyz"), max_size=3, unique=True)):
            if graph and draw(some.booleans()):
                inputs[name] = [draw(some.sampled_from(list(graph))), draw(some.integers(0, 1))]
            else:
                inputs[name] = draw(some.sampled_from([1, 1.0, True, "a", None, {"a": [1]}]))
        graph[str(number)] = Node(draw(some.sampled_from("AAB")), inputs)
    return graph


@given(graphs(), some.randoms(use_true_random=False))
def test_renumbered_graphs_are_the_same(graph: Graph, chance: random.Random) -> None:
    other = shuffled(graph, chance)
    difference = diff(graph, other)
    assert difference.empty, as_text(difference)
    assert same(applied(graph, difference), other)


@given(graphs(), graphs())
def test_a_diff_leads_from_one_graph_to_the_other(before: Graph, after: Graph) -> None:
    difference = diff(before, after)
    assert same(applied(before, difference), after)
    assert difference.empty <= (len(before) == len(after))
    msgspec.json.decode(msgspec.json.encode(difference), type=dict[str, Any])


@given(graphs(), some.randoms(use_true_random=False), some.data())
def test_a_diff_leads_from_a_graph_to_its_renumbered_and_changed_self(
    before: Graph, chance: random.Random, data: some.DataObject
) -> None:
    after = shuffled(before, chance)
    if after:
        id = data.draw(some.sampled_from(list(after)))
        after = changed(after, id, x=data.draw(some.sampled_from([2, "b", True])))
    difference = diff(before, after)
    assert same(applied(before, difference), after)


@given(graphs(), some.sampled_from(["0", "1", "5", "nowhere"]), some.sampled_from(["0", "3"]))
def test_a_graph_that_is_not_well_formed_is_compared_too(graph: Graph, source: str, id: str) -> None:
    if id in graph:
        bad = changed(graph, id, x=[source, 0])
        diff(bad, bad)
        diff(graph, bad)
        diff(bad, graph)


def large(count: int, kind: str) -> tuple[Graph, Graph]:
    match kind:
        case "twins":
            one = {str(n): Node("A", {"x": 1}) for n in range(count)}
            return one, {f"n{n}": Node("A", {"x": 1}) for n in range(count)}
        case "all changed and renumbered":
            one = {str(n): Node("A", {"steps": 20, "cfg": 7, "seed": n}) for n in range(count)}
            return one, {f"n{n}": Node("A", {"steps": 20, "cfg": 7, "seed": -n - 1}) for n in range(count)}
        case "chain, changed at its beginning":
            one = {str(n): Node("A", {"x": [str(n - 1), 0], "y": n} if n else {"y": 0}) for n in range(count)}
            other = renamed(changed(one, "0", y=-1), {id: f"n{id}" for id in one})
            return one, other
        case "hub":
            one = {"hub": Node("H", {})} | {str(n): Node("A", {"x": ["hub", 0]}) for n in range(count)}
            return one, {"gate": Node("H", {})} | {
                str(n): Node("A", {"x": ["gate" if n % 2 else "hub", 0]}) for n in range(count)
            } | {"hub": Node("H", {})}
        case _:
            one = {"0": Node("A", {})}
            for n in range(1, count):  # a zigzag: every second one only consumes, every other only gives
                one[str(n)] = Node("A", {} if n % 2 else {"x": [str(n - 1), 0]})
                if n % 2 and n > 1:
                    one[str(n - 1)] = Node("A", {**one[str(n - 1)].inputs, "y": [str(n), 0]})
            return one, renamed(one, {id: f"n{id}" for id in one})


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "kind", ["twins", "all changed and renumbered", "chain, changed at its beginning", "hub", "zigzag"]
)
def test_large_graphs_take_their_time_and_no_more(kind: str) -> None:
    """Five thousand nodes, the most a graph may have: a square of that would take minutes."""
    before, after = large(5_000, kind)
    begun = time.monotonic()
    difference = diff(before, after)
    print(f"{kind}: {time.monotonic() - begun:.2f} s, {len(difference.changed)} changed")
    assert same(applied(before, difference), after)
    assert len(difference.added) <= 1
