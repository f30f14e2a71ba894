"""The folders of a ComfyUI: files by (type, subfolder, filename), saved names, and models."""

import os
import re
import struct
from pathlib import Path

KINDS = ("output", "input", "temp")
MODEL_FOLDERS = [
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "custom_nodes",
    "hypernetworks",
    "photomaker",
    "classifiers",
    "model_patches",
    "audio_encoders",
]
MODEL_SUFFIXES = {".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".pkl"}
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tiff"}
ANNOTATION = re.compile(r" \[(output|input|temp)\]$")


class OutsideError(Exception):
    """A path leaves the folder it should stay in."""


class Folders:
    """Opened once on a base directory; makes what is missing and empties `temp`, as the original does."""

    def __init__(self, base: Path, checkpoints: tuple[str, ...]) -> None:
        self.base = base
        self._counted: dict[Path, tuple[int, dict[str, int]]] = {}
        for kind in KINDS:
            self.root(kind).mkdir(parents=True, exist_ok=True)
        for folder in MODEL_FOLDERS:
            (base / "models" / folder).mkdir(parents=True, exist_ok=True)
        for name in checkpoints:
            _write_empty_model(base / "models" / "checkpoints" / name)
        self.empty_temp()

    def empty_temp(self) -> None:
        for path in sorted(self.root("temp").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()

    def root(self, kind: str) -> Path:
        return self.base / kind

    def inside(self, kind: str, relative: str) -> Path:
        """A place below the folder of that kind. Raises OutsideError."""
        root = self.root(kind)
        path = Path(os.path.normpath(root / relative))
        if path != root and root not in path.parents:
            raise OutsideError(str(path))
        return path

    def annotated(self, name: str, kind: str = "input") -> Path:
        """`x.png [output]` overrides the kind. Nothing is checked: the original does not either."""
        found = ANNOTATION.search(name)
        return self.root(found.group(1) if found else kind) / ANNOTATION.sub("", name)

    def input_images(self) -> list[str]:
        """What LoadImage offers: images at the top of the input folder only."""
        found = (entry for entry in os.scandir(self.root("input")) if entry.is_file())
        return sorted(entry.name for entry in found if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES)

    def models(self, folder: str) -> list[str] | None:
        """Names with forward slashes, found anew each time; None where there is no such folder."""
        if folder not in MODEL_FOLDERS:
            return None
        root = self.base / "models" / folder
        names = []
        for place, _, files in os.walk(root, followlinks=True):
            relative = os.path.relpath(place, root)
            prefix = "" if relative == "." else relative.replace(os.sep, "/") + "/"
            names += [prefix + name for name in files if Path(name).suffix.lower() in MODEL_SUFFIXES]
        return sorted(names)

    def model_path(self, folder: str, name: str) -> Path:
        return self.base / "models" / folder / name

    def next_counter(self, folder: Path, prefix: str) -> int:
        """One more than the highest number in use. The listing is kept while nobody else changes the folder."""
        changed = folder.stat().st_mtime_ns
        known = self._counted.get(folder)
        highest = known[1] if known and known[0] == changed else _highest(folder)
        self._counted[folder] = (changed, highest)
        return highest.get(prefix, 0) + 1

    def counted(self, folder: Path, prefix: str, counter: int) -> None:
        """A file with that number was just written by us."""
        known = self._counted.get(folder)
        if known is not None:
            known[1][prefix] = max(counter, known[1].get(prefix, 0))
            self._counted[folder] = (folder.stat().st_mtime_ns, known[1])


_SAVED = re.compile(r"^(.*)_(\d+)_.*$")


def _highest(folder: Path) -> dict[str, int]:
    highest: dict[str, int] = {}
    for name in os.listdir(folder):
        found = _SAVED.match(name)
        if found:
            highest[found.group(1)] = max(int(found.group(2)), highest.get(found.group(1), 0))
    return highest


def _write_empty_model(path: Path) -> None:
    """A valid safetensors file without tensors."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(struct.pack("<Q", 2) + b"{}")
