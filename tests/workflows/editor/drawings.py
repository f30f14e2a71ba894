"""One drawing for each thing that the editor does to a workflow on the way to the graph."""

from collections.abc import Callable
from typing import Any

from tests.workflows.editor.drawing import Drawing, Drawn

BYPASSED, MUTED = 4, 2
SAMPLER = (7, "randomize", 20, 8.0, "euler", "normal", 1.0)
DRAWINGS: dict[str, Callable[[], dict[str, Any]]] = {}


def drawing(draw: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    DRAWINGS[draw.__name__] = draw
    return draw


class Portrait:
    """Text to image, from which most drawings begin."""

    def __init__(self, level: Drawing, *, lora: int | None = None, text: str = "a cat", **more: int) -> None:
        self.level = level
        self.checkpoint = level.add("CheckpointLoaderSimple", "sd15.safetensors")
        model, clip = self.checkpoint[0], self.checkpoint[1]
        if lora is not None:
            loader = level.add("LoraLoader", "soft.safetensors", 0.8, 1, mode=lora, model=model, clip=clip)
            model, clip = loader[0], loader[1]
        self.model, self.clip = model, clip
        self.text = level.add("CLIPTextEncode", text, clip=clip)
        self.negative = level.add("CLIPTextEncode", "", clip=clip)
        self.latent = level.add("EmptyLatentImage", 512, 512, 1)
        self.sampler = level.add(
            "KSampler",
            *SAMPLER,
            mode=more.get("sampler", 0),
            model=model,
            positive=self.text[0],
            negative=self.negative[0],
            latent_image=self.latent[0],
        )
        self.decode = level.add(
            "VAEDecode", mode=more.get("decode", 0), samples=self.sampler[0], vae=self.checkpoint[2]
        )
        self.save = level.add("SaveImage", "ComfyUI", mode=more.get("save", 0), images=self.decode[0])


@drawing
def plain() -> dict[str, Any]:
    level = Drawing()
    Portrait(level, lora=0)
    level.add("Note", "for me")
    level.add("MarkdownNote", "# for me")
    return level.saved()


@drawing
def newer_version() -> dict[str, Any]:
    level = Drawing()
    Portrait(level)
    return level.saved(version=1)


@drawing
def titles() -> dict[str, Any]:
    level = Drawing()
    image = level.add("EmptyImage", 64, 64, 1, 255, title="Blue ✓")
    level.add("SaveImage", "a/b", title="Keep", images=image[0])
    return level.saved()


@drawing
def bypassed_lora() -> dict[str, Any]:
    level = Drawing()
    Portrait(level, lora=BYPASSED)
    return level.saved()


@drawing
def muted_lora() -> dict[str, Any]:
    level = Drawing()
    Portrait(level, lora=MUTED)
    return level.saved()


@drawing
def bypassed_sampler() -> dict[str, Any]:
    level = Drawing()
    Portrait(level, sampler=BYPASSED)
    return level.saved()


@drawing
def bypassed_decode() -> dict[str, Any]:
    level = Drawing()
    Portrait(level, decode=BYPASSED)
    return level.saved()


@drawing
def muted_end() -> dict[str, Any]:
    level = Drawing()
    portrait = Portrait(level, save=MUTED)
    level.add("PreviewImage", images=portrait.decode[0])
    return level.saved()


@drawing
def bypassed_in_a_row() -> dict[str, Any]:
    level = Drawing()
    image = level.add("EmptyImage", 64, 64, 1, 255)
    first = level.add("ImageScale", "nearest-exact", 32, 32, "disabled", mode=BYPASSED, image=image[0])
    second = level.add("ImageInvert", mode=BYPASSED, image=first[0])
    third = level.add("ImageBlend", 0.5, "normal", mode=BYPASSED, image1=image[0], image2=second[0])
    level.add("SaveImage", "a", images=third[0])
    return level.saved()


@drawing
def bypassed_into_anything() -> dict[str, Any]:
    level = Drawing()
    image = level.add("EmptyImage", 64, 64, 1, 255)
    blend = level.add("ImageBlend", 0.5, "normal", mode=BYPASSED, image1=image[0])
    level.add("PreviewAny", source=blend[0])
    size = level.add("GetImageSize", mode=BYPASSED, image=image[0])
    level.add("PreviewAny", source=size[0])
    level.add("PreviewAny", source=size[2])
    level.add("EmptyLatentImage", 512, 512, 1, width=size[1])
    return level.saved()


@drawing
def bypassed_by_type_not_place() -> dict[str, Any]:
    level = Drawing()
    loader = level.add("CheckpointLoaderSimple", "sd15.safetensors")
    positive = level.add("CLIPTextEncode", "a", clip=loader[1])
    negative = level.add("CLIPTextEncode", "b", clip=loader[1])
    net = level.add("ControlNetLoader", "canny.safetensors")
    image = level.add("LoadImage", "a.png", "image")
    apply = level.add(
        "ControlNetApplyAdvanced",
        *(1, 0, 1),
        mode=BYPASSED,
        positive=positive[0],
        negative=negative[0],
        control_net=net[0],
        image=image[0],
    )
    latent = level.add("EmptyLatentImage", 512, 512, 1)
    inpaint = level.add(
        "InpaintModelConditioning",
        True,
        mode=BYPASSED,
        positive=apply[0],
        negative=apply[1],
        vae=loader[2],
        pixels=image[0],
        mask=image[1],
    )
    level.add(
        "KSampler",
        *SAMPLER,
        model=loader[0],
        positive=inpaint[0],
        negative=inpaint[1],
        latent_image=inpaint[2],
    )
    level.add("LatentUpscale", "nearest-exact", 64, 64, "disabled", samples=latent[0])
    return level.saved()


@drawing
def reroutes() -> dict[str, Any]:
    level = Drawing()
    image = level.add("EmptyImage", 64, 64, 1, 255)
    first = level.add("Reroute", source=image[0])
    second = level.add("Reroute", source=first[0])
    level.add("SaveImage", "a", images=second[0])
    level.add("SaveImage", "b", images=first[0])
    nowhere = level.add("Reroute")
    level.add("SaveImage", "c", images=nowhere[0])
    scale = level.add("ImageInvert", mode=BYPASSED, image=second[0])
    level.add("SaveImage", "d", images=level.add("Reroute", source=scale[0])[0])
    gone = level.add("ImageInvert", mode=MUTED, image=second[0])
    level.add("SaveImage", "e", images=level.add("Reroute", source=gone[0])[0])
    return level.saved()


@drawing
def native_reroutes() -> dict[str, Any]:
    level = Drawing()
    image = level.add("EmptyImage", 64, 64, 1, 255)
    level.add("SaveImage", "a", images=image[0])
    graph = level.saved()
    graph["extra"] = {
        "reroutes": [{"id": 1, "pos": [10, 10], "linkIds": [1]}],
        "linkExtensions": [{"id": 1, "parentId": 1}],
    }
    return graph


@drawing
def primitives() -> dict[str, Any]:
    level = Drawing()
    seed = level.add("PrimitiveNode", 42, "fixed")
    text = level.add("PrimitiveNode", "a dog\r\nin a hat")
    method = level.add("PrimitiveNode", "area", "fixed", "")
    strength = level.add("PrimitiveNode", 0.123456, "fixed")
    portrait = Portrait(level)
    for name, source in (("seed", seed), ("denoise", strength)):
        _converted(level, portrait.sampler, name, source)
    _converted(level, portrait.text, "text", text)
    _converted(level, portrait.negative, "text", text)
    scale = level.add("ImageScale", "nearest-exact", 32, 32, "disabled", image=portrait.decode[0])
    _converted(level, scale, "upscale_method", method)
    level.add("SaveImage", "b", images=scale[0])
    level.add("PrimitiveNode", 5, "fixed")
    return level.saved()


@drawing
def primitive_for_many() -> dict[str, Any]:
    level = Drawing()
    width = level.add("PrimitiveNode", 700, "fixed")
    latent = level.add("EmptyLatentImage", 512, 512, 1)
    image = level.add("EmptyImage", 64, 64, 1, 255)
    _converted(level, latent, "width", width)
    _converted(level, latent, "height", width)
    _converted(level, image, "width", width)
    level.add("SaveImage", "a", images=image[0])
    return level.saved()


@drawing
def primitive_without_a_value() -> dict[str, Any]:
    level = Drawing()
    bare = level.add("PrimitiveNode")
    image = level.add("EmptyImage", 96, 64, 1, 255)
    _converted(level, image, "width", bare)
    level.add("SaveImage", "a", images=image[0])
    return level.saved()


@drawing
def primitive_through_a_reroute() -> dict[str, Any]:
    level = Drawing()
    width = level.add("PrimitiveNode", 128, "fixed")
    reroute = level.add("Reroute", source=width[0])
    image = level.add("EmptyImage", 64, 64, 1, 255, width=reroute[0])
    level.add("SaveImage", "a", images=image[0])
    return level.saved()


@drawing
def real_primitives() -> dict[str, Any]:
    level = Drawing()
    width = level.add("PrimitiveInt", 128, "fixed")
    image = level.add("EmptyImage", 64, 64, 1, 255, width=width[0])
    level.add("SaveImage", "a", images=image[0])
    muted = level.add("PrimitiveInt", 128, "fixed", mode=MUTED)
    image = level.add("EmptyImage", 64, 64, 1, 255, width=muted[0])
    level.add("SaveImage", "b", images=image[0])
    return level.saved()


@drawing
def inputs_of_an_older_editor() -> dict[str, Any]:
    """Widgets that were made inputs came last, and their places counted so."""
    level = Drawing()
    portrait = Portrait(level)
    seed = level.add("PrimitiveInt", 11, "fixed")
    steps = level.add("PrimitiveInt", 12, "fixed")
    _converted(level, portrait.sampler, "steps", steps)
    _converted(level, portrait.sampler, "seed", seed)
    return level.saved()


@drawing
def inputs_that_were_widgets_once() -> dict[str, Any]:
    level = Drawing()
    text = level.add("StringConcatenate", "a", "b", "")
    level.add("PreviewAny", source=text[0])
    combine = level.add("StringReplace", "abc", "b", "c")
    level.add("PreviewAny", source=combine[0])
    stale = level.add("ImageInvert", "left over", more={"inputs": []})
    stale.saved["inputs"] = [
        {"name": "image", "type": "IMAGE", "link": None},
        {"name": "strength", "type": "FLOAT", "link": None, "widget": {"name": "strength"}},
    ]
    level.add("SaveImage", "a", images=stale[0])
    return level.saved()


@drawing
def values_left_out() -> dict[str, Any]:
    level = Drawing()
    level.add("EmptyImage")
    level.add("EmptyLatentImage", 100)
    level.add("ImageScale", "area", 10)
    level.add("KSampler", 5)
    level.add("EmptyImage", None, 64, None, 1)
    level.add("EmptyImage", 1, 2, 3, 4, 5, 6)
    level.add("CLIPTextEncode", None)
    level.add("CLIPTextEncode", 5)
    level.add("CLIPTextEncode", True)
    level.add("SaveImage")
    return level.saved()


@drawing
def files() -> dict[str, Any]:
    level = Drawing()
    image = level.add("LoadImage", "a b/ü.png", "image")
    level.add("LoadImageMask", "m.png", "alpha", "image")
    level.add("LoadImageOutput", "o.png", False, "refresh", "image")
    level.add("LoadImageOutput", "o.png [temp]", False, "refresh", "image")
    level.add("LoadImage")
    level.add("LoadImage", ["a.png", "b.png"], "image")
    level.add("LoadVideo", "v.mp4", "image")
    audio = level.add("LoadAudio", "a.mp3", None, "")
    level.add("SaveAudioMP3", "audio/ComfyUI", "V0", audio=audio[0])
    level.add("SaveAudio", "audio/ComfyUI", audio=audio[0])
    level.add("PreviewAudio", audio=audio[0])
    level.add("PreviewAny", source=image[0])
    level.add("SaveGLB", "mesh/ComfyUI", "")
    level.add("Preview3D", "m.glb", "")
    level.add("SaveImage", "x", images=image[0])
    return level.saved()


@drawing
def prompts() -> dict[str, Any]:
    level = Drawing()
    loader = level.add("CheckpointLoaderSimple", "sd15.safetensors")
    for text in (
        "a cat // not this\nby a lake /* nor\nthis */ at dusk",
        "one {cat} only",
        "kept \\{as it is\\} \\| so",
        "a {b {c} d} e",
        "open {brace",
        "closed } brace",
        "http://example.org/a.png",
        "two\r\nlines\rthree",
    ):
        level.add("CLIPTextEncode", text, clip=loader[1])
    level.add("StringConcatenate", "a // b", "{c|d}", "")
    return level.saved()


@drawing
def names_filled_in() -> dict[str, Any]:
    level = Drawing()
    portrait = Portrait(level)
    portrait.save.saved["widgets_values"] = ["%KSampler.seed%/%width%_%Small.height%_%Nobody.x%_%KSampler.y%"]
    level.add("EmptyImage", 64, 96, 1, 255, title="Small")
    level.add("SaveImage", "%Small.width%:%CLIPTextEncode.text%", images=portrait.decode[0])
    level.add("SaveAnimatedPNG", "%Mine.width%", 6.0, 4, images=portrait.decode[0])
    level.add("EmptyImage", 1, 2, 3, 4, more={"properties": {"Node name for S&R": "Mine"}})
    filling = level.add(
        "PrimitiveNode", "%Small.width%!", more={"properties": {"Run widget replace on values": True}}
    )
    _converted(level, portrait.text, "text", filling)
    return level.saved()


@drawing
def old_names() -> dict[str, Any]:
    level = Drawing()
    level.add("T2IAdapterLoader", "depth.safetensors")
    level.add("ConditioningAverage ", 0.5)
    portrait = Portrait(level)
    portrait.sampler.saved["widgets_values"][4] = "sample_euler"
    return level.saved()


@drawing
def loose_ends() -> dict[str, Any]:
    level = Drawing()
    image = level.add("EmptyImage", 64, 64, 1, 255)
    level.add("SaveImage", "a", images=image[0])
    lost = level.add("SaveImage", "b")
    lost.saved["inputs"][0]["link"] = 99
    return level.saved()


@drawing
def subgraph() -> dict[str, Any]:
    level = Drawing()
    _shrink(level)
    image = level.add("EmptyImage", 64, 64, 1, 255)
    inside = level.add(level.subgraphs[0].id, 16, "area", image=image[0])
    level.add("SaveImage", "a", images=inside[0])
    return level.saved()


@drawing
def subgraph_without_values() -> dict[str, Any]:
    level = Drawing()
    _shrink(level)
    inside = level.add(level.subgraphs[0].id, image=level.add("EmptyImage", 64, 64, 1, 255)[0])
    level.add("SaveImage", "a", images=inside[0])
    return level.saved()


@drawing
def subgraph_with_a_wired_widget() -> dict[str, Any]:
    level = Drawing()
    _shrink(level)
    width = level.add("PrimitiveInt", 20, "fixed")
    image = level.add("EmptyImage", 64, 64, 1, 255)
    inside = level.add(level.subgraphs[0].id, 16, "area", image=image[0], width=width[0])
    level.add("SaveImage", "a", images=inside[0])
    return level.saved()


@drawing
def subgraph_twice() -> dict[str, Any]:
    level = Drawing()
    _shrink(level)
    image = level.add("EmptyImage", 64, 64, 1, 255)
    first = level.add(level.subgraphs[0].id, 16, "area", image=image[0])
    second = level.add(level.subgraphs[0].id, 8, "bicubic", image=first[0])
    level.add("SaveImage", "a", images=second[0])
    return level.saved()


@drawing
def subgraph_bypassed() -> dict[str, Any]:
    level = Drawing()
    _shrink(level, mode=BYPASSED)
    image = level.add("EmptyImage", 64, 64, 1, 255)
    inside = level.add(level.subgraphs[0].id, 16, "area", mode=BYPASSED, image=image[0])
    level.add("SaveImage", "a", images=inside[0])
    return level.saved()


@drawing
def subgraph_muted() -> dict[str, Any]:
    level = Drawing()
    _shrink(level, mode=MUTED)
    image = level.add("EmptyImage", 64, 64, 1, 255)
    inside = level.add(level.subgraphs[0].id, 16, "area", mode=MUTED, image=image[0])
    level.add("SaveImage", "a", images=inside[0])
    return level.saved()


@drawing
def subgraph_with_text() -> dict[str, Any]:
    level = Drawing()
    prompt = level.subgraph("Prompt")
    encode = prompt.add("CLIPTextEncode", "inside")
    prompt.enters("clip", "CLIP", (encode, "clip"))
    prompt.enters("words", "STRING", (encode, "text"))
    prompt.leaves("CONDITIONING", encode[0])
    portrait = Portrait(level)
    inside = level.add(prompt.id, "// outside {a|b}", clip=portrait.clip)
    level.add("ConditioningZeroOut", conditioning=inside[0])
    return level.saved()


@drawing
def subgraph_with_more_than_it_shows() -> dict[str, Any]:
    level = Drawing()
    many = level.subgraph("Many")
    seed = many.add("PrimitiveInt", 3, "fixed")
    image = many.add("EmptyImage", 64, 64, 1, 255)
    other = many.add("EmptyImage", 32, 32, 1, 1)
    route = many.add("Reroute", source=image[0])
    many.add("Note", "in here")
    off = many.add("ImageInvert", mode=BYPASSED, image=route[0])
    gone = many.add("ImageInvert", mode=MUTED, image=route[0])
    many.enters("size", "INT", (image, "width"), (other, "height"))
    many.enters("start", "INT", (seed, "value"))
    many.enters("unused", "IMAGE")
    many.leaves("first", off[0])
    many.leaves("second", gone[0])
    many.leaves("third", seed[0])
    inside = level.add(many.id, 48, 9)
    for slot in (0, 1):
        level.add("SaveImage", "a", images=inside[slot])
    level.add("PreviewAny", source=inside[2])
    return level.saved()


@drawing
def nested() -> dict[str, Any]:
    level = Drawing()
    inner = _shrink(level)
    outer = level.subgraph("Outer")
    outer.subgraphs = level.subgraphs
    image = outer.add("EmptyImage", 64, 64, 1, 255)
    used = outer.add(inner.id, 24, "area", image=image[0])
    invert = outer.add("ImageInvert", image=used[0])
    outer.enters("size", "INT", (used, "width"), (image, "width"))
    outer.leaves("IMAGE", invert[0])
    inside = level.add(outer.id, 80)
    level.add("SaveImage", "a", images=inside[0])
    return level.saved()


@drawing
def nested_outer_first() -> dict[str, Any]:
    graph = nested()
    graph["definitions"]["subgraphs"].reverse()
    return graph


@drawing
def nested_thrice() -> dict[str, Any]:
    level = Drawing()
    inner = _shrink(level)
    levels = [inner]
    for name in ("Middle", "Outer"):
        around = level.subgraph(name)
        around.subgraphs = level.subgraphs
        used = around.add(levels[-1].id, 24, "area")
        route = around.add("Reroute", source=used[0])
        around.enters("image", "IMAGE", (used, "image"))
        around.enters("size", "INT", (used, "width" if levels[-1] is inner else "size"))
        around.leaves("IMAGE", route[0])
        levels.append(around)
    image = level.add("EmptyImage", 64, 64, 1, 255)
    inside = level.add(levels[-1].id, 99, image=image[0])
    level.add("SaveImage", "a", images=inside[0])
    return level.saved()


def _shrink(level: Drawing, *, mode: int = 0) -> Drawing:
    """A subgraph: an image, a width and a method go in, a smaller image comes out."""
    made = level.subgraph("Shrink")
    scale = made.add("ImageScale", "nearest-exact", 32, 32, "disabled", mode=mode)
    made.enters("image", "IMAGE", (scale, "image"))
    made.enters("width", "INT", (scale, "width"))
    made.enters("method", "COMBO", (scale, "upscale_method"))
    made.leaves("IMAGE", scale[0])
    return made


def _converted(level: Drawing, node: Drawn, name: str, source: Drawn) -> None:
    """A widget that was made an input: it stands behind the others."""
    node.saved["inputs"].append(
        {"name": name, "type": source[0].type, "link": None, "widget": {"name": name}}
    )
    level.wire(source[0], node, name)
