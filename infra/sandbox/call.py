"""What a running node is handed besides its inputs."""

import io
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from infra.sandbox.folders import Folders
from infra.sandbox.node import InterruptedRunError
from workflows.protocol.frames import encode_text

if TYPE_CHECKING:
    from infra.sandbox.engine import Engine, Run


class RunningCall:
    """One execution of one node."""

    def __init__(self, engine: "Engine", run: "Run", node: str, folders: Folders, preview_every: int) -> None:
        self._engine = engine
        self._run = run
        self._node = node
        self.folders = folders
        self.preview_every = preview_every
        self.graph: Any = run.prompt.graph
        texts = run.prompt.extra_data.get("extra_pnginfo")
        self.png_texts: dict[str, Any] = texts if isinstance(texts, dict) else {}

    def check(self) -> None:
        """Raises InterruptedRunError if somebody asked for an end, once."""
        if self._engine.interrupted.is_set():
            self._engine.interrupted.clear()
            raise InterruptedRunError

    def progress(self, value: int, of: int, preview: Image | None = None) -> None:
        self.check()
        image = None if preview is None else lambda: _jpeg(preview)
        self._engine.progress(self._run, self._node, value, of, image)

    def pause(self, seconds: float) -> None:
        self._engine.interrupted.wait(seconds)
        self.check()

    def text(self, text: str) -> None:
        self._engine.text(self._run, encode_text(self._node, text))


def _jpeg(image: Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
