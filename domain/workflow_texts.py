"""What people write about a workflow: kept as it will be shown, or refused with the field named."""

from collections.abc import Callable
from typing import TypeVar

from domain.refusals import FieldError, Invalid

T = TypeVar("T")

MAX_NAME = 200
MAX_DESCRIPTION = 10_000
MAX_NOTE = 2_000
MAX_TAGS = 30
MAX_TAG = 50


def printable(field: str, text: str) -> str:
    """Control characters but tabs and ends of lines show nothing, and grow sixfold where they are stored."""
    if any(ord(letter) < 32 and letter not in "\t\r\n" for letter in text):
        raise Invalid(f"The {field} holds control characters.", FieldError(field, "Control characters."))
    return text


def checked_name(name: str) -> str:
    stripped = printable("name", name).strip()
    if not 1 <= len(stripped) <= MAX_NAME:
        raise Invalid(
            "The name is missing or too long.",
            FieldError("name", f"It must have 1 to {MAX_NAME} characters."),
        )
    return stripped


def checked_description(description: str) -> str:
    if len(description) > MAX_DESCRIPTION:
        raise Invalid(
            "The description is too long.",
            FieldError("description", f"It may have {MAX_DESCRIPTION} characters at most."),
        )
    return printable("description", description)


def checked_texts(name: str, description: str, tags: tuple[str, ...]) -> tuple[str, str, tuple[str, ...]]:
    """Whatever is wrong with any of them is told at once."""
    faults: list[Invalid] = []
    texts = (
        _tried(checked_name, name, faults),
        _tried(checked_description, description, faults),
        _tried(checked_tags, tags, faults),
    )
    if len(faults) > 1:
        raise Invalid("Some of this cannot be taken.", *(error for fault in faults for error in fault.errors))
    for fault in faults:
        raise fault
    return texts


def checked_note(note: str) -> str:
    if len(note) > MAX_NOTE:
        raise Invalid(
            "The note is too long.", FieldError("note", f"It may have {MAX_NOTE} characters at most.")
        )
    return printable("note", note)


def checked_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    canonical = tuple(dict.fromkeys(" ".join(printable("tags", tag).lower().split()) for tag in tags))
    if len(canonical) > MAX_TAGS or any(not 1 <= len(tag) <= MAX_TAG for tag in canonical):
        raise Invalid(
            "The tags are not usable.",
            FieldError("tags", f"At most {MAX_TAGS} tags of 1 to {MAX_TAG} characters each."),
        )
    return canonical


def _tried(check: Callable[[T], T], text: T, faults: list[Invalid]) -> T:
    try:
        return check(text)
    except Invalid as fault:
        faults.append(fault)
        return text
