"""How ComfyUI's clients name a file: by type, folder and name. No name leads out of its account's own files."""

import re

from msgspec import Struct

from domain.refusals import FieldError, Invalid, NotAllowed

INPUT, OUTPUT, TEMP = TYPES = ("input", "output", "temp")
MAX_BYTES = 255  # of a name, as file systems have it
MAX_USABLE_BYTES = 200  # of a name that we make: there is room for a number
MAX_DEPTH = 8
OUTSIDE = "The folder is outside of your files."
_ANNOTATION = re.compile(r"\s?\[(input|output|temp)\]$")


class FileName(Struct, frozen=True):
    filename: str
    subfolder: str
    type: str


def annotated(text: str, type: str) -> tuple[str, str]:
    """A name as nodes take it, and the type it says, or else the other: `x.png [output]`."""
    said = _ANNOTATION.search(text)
    return (text[: said.start()], said[1]) if said else (text, type)


def loaded(text: str) -> FileName:
    """What a node loads: `x.png`, `a/b/x.png`, `x.png [output]`. Raises Invalid, NotAllowed."""
    path, type = annotated(text, INPUT)
    before, _, name = path.replace("\\", "/").rpartition("/")
    return FileName(checked_name(name), folder("/" if path.startswith("/") and not before else before), type)


def checked_name(name: str) -> str:
    """Raises Invalid."""
    if not name or name.startswith("/") or ".." in name or name == ".":
        raise _invalid("filename", "It must be the name of a file.")
    return _part(name, "filename")


def usable_name(text: str) -> str:
    """The name of somebody's file without what no name of ours may have."""
    last = text.replace("\\", "/").rpartition("/")[2]
    plain = "".join(letter for letter in last if letter.isprintable()).replace("..", ".").strip()
    stem, dot, ending = plain.rpartition(".")
    kept = (stem or ending).encode("utf-8", "ignore")[:MAX_USABLE_BYTES].decode("utf-8", "ignore")
    named = f"{kept}{dot}{ending[:8]}" if stem else kept
    return named if named.strip(". ") else "input.png"


def checked_type(type: str) -> str:
    """Raises Invalid."""
    if type not in TYPES:
        raise _invalid("type", f"It must be one of {', '.join(TYPES)}.")
    return type


def folder(text: str) -> str:
    """A folder as it is kept, "" for the top. Raises NotAllowed for one outside, Invalid."""
    parts: list[str] = []
    if text.startswith(("/", "\\")):
        raise NotAllowed(OUTSIDE)
    for part in text.replace("\\", "/").split("/"):
        if part == "..":
            if not parts:
                raise NotAllowed(OUTSIDE)
            parts.pop()
        elif part not in ("", "."):
            parts.append(_part(part, "subfolder"))
    if len(parts) > MAX_DEPTH:
        raise _invalid("subfolder", f"It may be {MAX_DEPTH} folders deep at most.")
    return "/".join(parts)


def numbered(name: str, number: int) -> str:
    """`red.png`, `red (1).png`, `red (2).png`."""
    stem, dot, ending = name.rpartition(".")
    if not number:
        return name
    return f"{stem} ({number}){dot}{ending}" if stem else f"{name} ({number})"


def _part(part: str, field: str) -> str:
    try:
        size = len(part.encode())
    except UnicodeEncodeError:
        raise _invalid(field, "It cannot be written as UTF-8.") from None
    if size > MAX_BYTES:
        raise _invalid(field, f"A name may have {MAX_BYTES} bytes at most.")
    if any(letter < " " or letter == "\x7f" for letter in part):
        raise _invalid(field, "It contains control characters.")
    return part


def _invalid(field: str, reason: str) -> Invalid:
    return Invalid(f"This is no name for a file. {reason}", FieldError(field, reason))
