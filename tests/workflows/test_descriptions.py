"""What node classes tell of themselves, kept without the files that they offer, and filled again for each account."""

from typing import Any
from uuid import UUID

import msgspec

from domain.model import About, Model, ModelId
from tests.workflows.editor.recorded import classes
from workflows.class_catalogue import Catalogue, Choices, Filled, Told, merged
from workflows.descriptions import MAX_DOCUMENT_BYTES, Description, described, documents, filled, read
from workflows.models import restricted
from workflows.offers import Offer

ANN = f"user-{UUID(int=1)}"
MODELS = {"loras": ("a.safetensors", "b.safetensors"), "vae": (), "checkpoints": ("sd15.safetensors",)}


def one(choices: Any, module: str = "nodes", **options: Any) -> dict[str, Any]:
    entry = [choices, options] if options else [choices]
    return {"input": {"required": {"name": entry}}, "output": ["X"], "python_module": module}


def lora_loader(names: list[str], module: str = "nodes") -> dict[str, Any]:
    return {"input": {"required": {"lora_name": [names, {"default": names[0]}]}}, "python_module": module}


def whole(told: dict[str, Any], models: Any = MODELS, **more: Any) -> Description:
    """As it is after it has travelled."""
    found = Description({}, {})
    for _, body in documents(described(told, models, **more)):
        part = read(body)
        found.classes.update(part.classes)
        found.files.update(part.files)
    return found


def everything(*told: Told, **more: Any) -> Catalogue:
    return merged(told, lambda name, module: True, **more)


def offers(catalogue: Catalogue, name: str, input: str, offer: Offer) -> Any:
    found = Filled(catalogue, lambda choices: msgspec.json.encode(offer.choices(choices)))
    return found[name]["input"]["required"][input][0]


def test_what_a_real_one_told_comes_back_whole() -> None:
    told = classes()
    names = told["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
    kept = whole(told, {"checkpoints": tuple(names)})
    assert list(kept.classes) == list(told)
    assert kept.classes["KSampler"] == told["KSampler"]
    assert [*kept.classes["KSampler"]["input"]["required"]] == [*told["KSampler"]["input"]["required"]]
    assert names[0].encode() not in msgspec.json.encode(kept)
    again = filled(kept, {"checkpoints": names})
    assert again["CheckpointLoaderSimple"] == told["CheckpointLoaderSimple"]


def test_files_are_taken_out_and_put_where_they_stood() -> None:
    told = {
        "LoraLoader": lora_loader(["a.safetensors", f"{ANN}/x.safetensors", "b.safetensors"]),
        "Stack": lora_loader(["None", "a.safetensors", "b.safetensors", "last"], "custom_nodes.stack"),
        "Some": lora_loader(["a.safetensors"], "custom_nodes.stack"),
    }
    kept = whole(told)
    assert b"safetensors" not in msgspec.json.encode(kept.classes["LoraLoader"])
    assert "default" not in kept.classes["LoraLoader"]["input"]["required"]["lora_name"][1]
    assert ANN.encode() not in msgspec.json.encode(kept)
    other = filled(kept, {"loras": ("c.safetensors",)})
    names = {name: each["input"]["required"]["lora_name"][0] for name, each in other.items()}
    assert names == {
        "LoraLoader": ["c.safetensors"],
        "Stack": ["None", "c.safetensors", "last"],
        "Some": ["a.safetensors"],
    }


def test_uploads_and_what_we_brought_are_nobodys_business() -> None:
    told = {
        "LoadImage": one(["private.png"], image_upload=True, default="private.png"),
        "LoadVideo": one("COMBO", video_upload=True, options=["private.mp4"]),
        "Output": one(["private.png"], image_upload=True, image_folder="output"),
        "Hidden": one(["comfyplus-0123.png", "comfyplus/x/private.png", "fine"], "custom_nodes.video"),
    }
    kept = whole(told)
    assert b"private" not in msgspec.json.encode(kept)
    assert kept.classes["Hidden"]["input"]["required"]["name"][0] == ["fine"]
    catalogue = everything(Told([kept], {}))
    offer = Offer(inputs={"image": ("red.png",)})
    assert offers(catalogue, "LoadImage", "name", offer) == ["red.png"]
    assert offers(catalogue, "Output", "name", offer) == []


def test_a_class_that_tells_nonsense_hurts_nobody() -> None:
    told: dict[str, Any] = {
        "A": {
            "input": {"required": {"x": None, "y": [], "lora_name": [[{"a": []}, 7, None], {"default": []}]}}
        },
        "B": {"input": [], "output": "x"},
        "C": {"input": {"required": {"lora_name": [["a.safetensors", []], 5]}}, "python_module": 7},
        "D": {},
    }
    catalogue = everything(Told([whole(told)], MODELS), restricted={"a.safetensors"})
    found = Filled(catalogue, lambda choices: msgspec.json.encode(Offer().choices(choices)))
    assert {name: found[name] for name in ("B", "D")} == {"B": told["B"], "D": {}}
    assert set(found) == set(told)


def test_documents_are_small_and_stay_the_same_while_nothing_changes() -> None:
    told = {f"N{n}": one(["x" * 1000] * 100, "custom_nodes.big.deep", default=str(n)) for n in range(50)}
    told["KSampler"] = one(["euler"])
    parts = list(documents(described(told, {})))
    assert len(parts) > 3
    assert max(len(body) for _, body in parts) <= MAX_DOCUMENT_BYTES
    told = {name: one(each["input"]["required"]["name"][0], default="other") for name, each in told.items()}
    again = one(["b", "a"], default=7), one(["a", "b"], default=8)
    first, second = (list(documents(described({"A": each}, {}))) for each in again)
    assert first[0][0] == second[0][0]
    assert first[0][1] != second[0][1]


def test_backends_complete_one_another_and_the_first_is_believed() -> None:
    first = {"K": one(["euler", "ddim"]), "LoraLoader": lora_loader(["a.safetensors", "b.safetensors"])}
    second = {"K": one(["ddim", "new"]), "LoraLoader": lora_loader(["z.safetensors"]), "Only": one([1, 2])}
    models = {"loras": ("z.safetensors",)}
    catalogue = everything(Told([whole(first)], MODELS), Told([whole(second, models)], models))
    offer = Offer(loras=("mine",), shared_loras=(f"{ANN}/mine.safetensors",))
    assert offers(catalogue, "K", "name", offer) == ["euler", "ddim", "new"]
    assert offers(catalogue, "Only", "name", offer) == [1, 2]
    assert offers(catalogue, "LoraLoader", "lora_name", offer) == [
        *("mine", "a.safetensors", "b.safetensors", "z.safetensors"),
        f"{ANN}/mine.safetensors",
    ]
    assert catalogue.folders["loras"] == ("a.safetensors", "b.safetensors", "z.safetensors")
    everyone = msgspec.json.decode(catalogue.all(lambda choices: msgspec.json.encode(offer.choices(choices))))
    assert list(everyone) == ["K", "LoraLoader", "Only"]


def test_what_is_withheld_is_not_offered_by_whatever_input() -> None:
    told = {
        "LoraLoader": lora_loader(["a.safetensors", "b.safetensors"]),
        "Odd": one(["A.safetensors", "other"], "custom_nodes.odd"),
        "Plain": one(["other"]),
    }
    among = restricted([Model(ModelId(UUID(int=3)), "loras", "a.safetensors", About(active=False))])
    catalogue = everything(Told([whole(told)], MODELS), restricted=among.keys())
    kept_back, own = Offer(withheld=among), Offer(withheld=among, own=frozenset({"a.safetensors"}))
    assert offers(catalogue, "LoraLoader", "lora_name", kept_back) == ["b.safetensors"]
    assert offers(catalogue, "LoraLoader", "lora_name", own) == ["a.safetensors", "b.safetensors"]
    assert offers(catalogue, "Odd", "name", kept_back) == ["other"]
    assert offers(catalogue, "Odd", "name", Offer()) == ["A.safetensors", "other"]
    assert catalogue.lists_of(["Plain"]) == frozenset()


def test_a_class_that_is_not_let_through_is_not_told_of() -> None:
    catalogue = merged([Told([whole({"A": one(["x"]), "B": one(["x"])})], {})], lambda name, _: name == "A")
    assert list(catalogue.classes) == ["A"]
    assert Choices("", ("x",), (), (), False) not in catalogue.lists
