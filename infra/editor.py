"""Where the editor's files are: in the folder that is named, else in the package that is installed."""

import importlib.util
from pathlib import Path

from infra.settings import Settings, SettingsError

PACKAGE = "comfyui_frontend_package"
INDEX = "index.html"


def editor_folder(settings: Settings) -> Path | None:
    """None: it is not installed. Raises SettingsError."""
    if settings.editor is None:
        found = importlib.util.find_spec(PACKAGE)
        folder = None if found is None or found.origin is None else Path(found.origin).parent / "static"
        return folder if folder is not None and (folder / INDEX).is_file() else None
    for folder in (settings.editor, settings.editor / "static", settings.editor / PACKAGE / "static"):
        if (folder / INDEX).is_file():
            return folder
    raise SettingsError(f"COMFYPLUS_EDITOR: there is no {INDEX} in {settings.editor}.")
