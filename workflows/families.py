"""Families of base models, and which one a LoRA was made for: told by its metadata, else by its tensors.

ComfyUI applies what fits and is silent about the rest: an SDXL LoRA on SD 1.5 "succeeds" and changes nothing.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from domain.lora import LoraSummary
from workflows.safetensors import Header, Tensor

TITLES = {
    "sd15": "Stable Diffusion 1.5",
    "sd2": "Stable Diffusion 2",
    "sdxl": "SDXL",
    "sd3": "Stable Diffusion 3",
    "flux": "FLUX",
    "hunyuan_video": "Hunyuan Video",
    "wan": "Wan",
}
"""What each family is called among people."""

CONTEXT = {768: "sd15", 1024: "sd2", 2048: "sdxl"}
"""The width of the text that cross-attention looks at."""

MAX_TRIGGERS = 20
MAX_TRIGGER = 100
_WIDTH = re.compile(
    r"attn2[._]to_[kv].*(lora_down|lora_A|lora\.down)\.(default\.)?weight$|attn2[._]to_[kv]\.lora_A"
)
_DOWN = re.compile(r"(lora_down|lora_A|lora\.down|lora_A\.default)\.weight$|\.hada_w1_b$|\.lokr_w1_b$")
_IN_METADATA = (
    (re.compile(r"flux"), "flux"),
    (re.compile(r"sdxl|xl[-_ ]?v?1|stable-diffusion-xl|pony|illustrious|noob"), "sdxl"),
    (re.compile(r"sd[-_ ]?3|stable-diffusion-3|stable-diffusion-v3"), "sd3"),
    (re.compile(r"hunyuan"), "hunyuan_video"),
    (re.compile(r"\bwan"), "wan"),
    (re.compile(r"sd_?v2|stable-diffusion-v2|sd[-_ ]?2[._]?[01]\b"), "sd2"),
    (re.compile(r"sd_?v1|stable-diffusion-v1|sd[-_ ]?1[._]?[45]|sd15"), "sd15"),
)
_IN_NAMES = (
    (re.compile(r"flux"), "flux"),
    (re.compile(r"xl(?![a-z])|pony|illustrious|noobai"), "sdxl"),
    (re.compile(r"(?<![a-z0-9])sd[-_.]?3(?![0-9])|sd3[-_.]?5"), "sd3"),
    (re.compile(r"hunyuan"), "hunyuan_video"),
    (re.compile(r"(?<![a-z])wan[-_.]?2"), "wan"),
    (
        re.compile(r"(?<![a-z0-9])(sd[-_.]?)?v?2[-_.][01](?![0-9])|(?<![a-z0-9])sd[-_.]?2[01]?(?![0-9])"),
        "sd2",
    ),
    (
        re.compile(r"(?<![a-z0-9])(sd[-_.]?)?v?1[-_.][45](?![0-9])|(?<![a-z0-9])sd[-_.]?1[45](?![0-9])"),
        "sd15",
    ),
)
_ABOUT = ("ss_base_model_version", "modelspec.architecture", "base_model", "ss_sd_model_name")


def summary(header: Header) -> LoraSummary:
    """What a LoRA file tells of itself. Its texts are strangers': shortened, and without control characters."""
    dtypes = Counter(tensor.dtype for tensor in header.tensors.values())
    return LoraSummary(
        base_model=_of_tensors(header.tensors) or of_metadata(header.metadata),
        trigger_words=_trigger_words(header.metadata),
        rank=max(
            (t.shape[0] for name, t in header.tensors.items() if _DOWN.search(name) and t.shape), default=0
        ),
        dtype=dtypes.most_common(1)[0][0],
        tensors=len(header.tensors),
    )


def of_model_name(name: str) -> str:
    """The family that a checkpoint's name speaks of; empty where it does not, or speaks of more than one."""
    found = {family for pattern, family in _IN_NAMES if pattern.search(name.lower())}
    return found.pop() if len(found) == 1 else ""


def of_words(told: str) -> str:
    """The family that a person means, who writes SDXL, "sd 1.5" or what it is called here; empty where nobody knows."""
    words = told.strip().lower()
    for family, title in TITLES.items():
        if words in (family, title.lower()):
            return family
    return next((family for pattern, family in _IN_METADATA if pattern.search(words)), "")


def _of_tensors(tensors: Mapping[str, Tensor]) -> str:
    for name, tensor in tensors.items():
        if _WIDTH.search(name) and len(tensor.shape) >= 2 and tensor.shape[1] in CONTEXT:
            return CONTEXT[tensor.shape[1]]
    return _of_names(tensors)


def _of_names(names: Iterable[str]) -> str:
    joined = "\n".join(names)
    if re.search(r"double_blocks\.\d+\.img_attn_qkv", joined):
        return "hunyuan_video"
    if re.search(r"single_transformer_blocks|(double|single)_blocks[._]\d+", joined):
        return "flux"
    if "joint_blocks" in joined:
        return "sd3"
    if re.search(r"blocks[._]\d+[._]cross_attn[._][kqvo]", joined):
        return "wan"
    if re.search(r"^lora_te2_", joined, re.MULTILINE):
        return "sdxl"
    return ""


def of_metadata(metadata: Mapping[str, str]) -> str:
    """The family that a file's metadata speaks of; empty where they do not."""
    for key in _ABOUT:
        told = metadata.get(key, "")[:500].lower()
        for pattern, family in _IN_METADATA:
            if pattern.search(told):
                return family
    return ""


def _trigger_words(metadata: Mapping[str, str]) -> tuple[str, ...]:
    told = metadata.get("modelspec.trigger_phrase") or metadata.get("ss_trigger_words") or ""
    words = [word for word in told[:5_000].split(",") if word.strip()]
    if not words:
        words = [word for word, _ in _tags(metadata.get("ss_tag_frequency", "")).most_common(MAX_TRIGGERS)]
    clean = (" ".join("".join(c if c.isprintable() else " " for c in word).split()) for word in words)
    return tuple(dict.fromkeys(word[:MAX_TRIGGER] for word in clean if word))[:MAX_TRIGGERS]


def _tags(text: str) -> Counter[str]:
    """kohya's count of the words it was trained with: `{"folder": {"word": 12}}`."""
    counted: Counter[str] = Counter()
    try:
        folders: Any = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, RecursionError):
        return counted
    for words in folders.values() if isinstance(folders, dict) else ():
        for word, count in words.items() if isinstance(words, dict) else ():
            if isinstance(count, int) and not isinstance(count, bool):
                counted[word.strip()] += count
    return counted
