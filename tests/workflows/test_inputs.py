"""Which pictures a graph loads, and how their names are exchanged on their way to a backend."""

from typing import Any
from uuid import uuid4

from domain.ids import Digest
from workflows.inputs import Loaded, Place, files, named, others, placed, referred, resolved

DIGEST = Digest("ab" * 32)
ID = str(uuid4())


def loading(image: Any, class_type: str = "LoadImage") -> dict[str, Any]:
    return {"1": {"class_type": class_type, "inputs": {"image": image}}}


def test_ids_and_digests_name_inputs_and_other_names_do_not() -> None:
    for name in (ID, ID.upper(), DIGEST, f"input:{DIGEST}", "input:surprise"):
        meant = {Place("1", "image"): Loaded(name.removeprefix("input:"), ("image/",))}
        assert named(loading(name)) == named(loading(name, "LoadImageMask")) == meant
    for name in ("photo.png", f"{DIGEST}.png", ["2", 0], None, 7, ""):
        assert named(loading(name)) == {}
    assert named(loading(ID, "LoadSomething")) == {}


def test_strange_graphs_name_nothing() -> None:
    for graph in (
        {"1": 7},
        {"1": {}},
        {"1": {"class_type": ["LoadImage"], "inputs": {}}},
        {"1": {"class_type": "LoadImage"}},
    ):
        assert named(graph) == {}
        assert referred(graph) == {}
        assert placed(graph, {DIGEST: "x"}) == graph


def test_a_name_goes_in_as_an_id_and_comes_out_as_the_backend_calls_it() -> None:
    graph = loading(ID)
    ready = resolved(graph, {Place("1", "image"): DIGEST})
    assert referred(ready) == {DIGEST: ".png"}
    assert placed(ready, {DIGEST: "sub/x (1).png"}) == loading("sub/x (1).png")
    assert graph == loading(ID)


def test_what_we_have_put_there_for_others_is_noticed_however_it_is_written() -> None:
    for name in ("comfyplus-x.png", "./ComfyPlus-x.png", "comfyplus/attempt/a.png [output]"):
        assert others(loading(name)) == ["1"]
    assert others(loading("photo.png")) == []


def test_sound_films_and_shapes_are_named_with_their_endings() -> None:
    graph = {
        "1": {"class_type": "LoadAudio", "inputs": {"audio": ID}},
        "2": {
            "class_type": "Load3D",
            "inputs": {
                "model_file": "3d/cup.glb",
                "image": {"image": "threed/a.png [temp]", "recording": ""},
            },
        },
    }
    places = {Place("2", "model_file"): "3d/cup.glb", Place("2", "image", "image"): "threed/a.png [temp]"}
    assert {place: each.name for place, each in files(graph).items()} == places
    assert [each.kinds for each in files(graph).values()] == [("model/",), ("image/",)]
    other = Digest("cd" * 32)
    ready = resolved(
        graph, {Place("1", "audio"): DIGEST, Place("2", "image", "image"): other}, {DIGEST: ".wav"}
    )
    assert named(ready)[Place("1", "audio")].name == DIGEST
    assert referred(ready) == {DIGEST: ".wav", other: ".png"}
    made = placed(ready, {DIGEST: "x.wav", other: "y.png"})
    assert made["1"]["inputs"]["audio"] == "x.wav"
    assert made["2"]["inputs"] == {"model_file": "3d/cup.glb", "image": {"image": "y.png", "recording": ""}}
    assert referred({"1": {"class_type": "LoadAudio", "inputs": {"audio": f"input:{DIGEST}.html"}}}) == {}
