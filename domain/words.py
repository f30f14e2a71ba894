"""Words that are not to stand in what everybody may read, as administrators say."""

import re
import unicodedata
from functools import lru_cache
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct

from domain.event import Decider, Event
from domain.reasons import stated
from domain.refusals import FieldError, Invalid

WORDS_ID = UUID("e5a07c36-94d1-5b28-bd63-2f81c0d7a94e")
"""The stream of what administrators decide about them: there is one."""


class WordsSet(Event, frozen=True, kw_only=True, tag="words.set.v1"):
    """All of them, from now on."""

    blocked: tuple[str, ...]
    reason: str


WordsEvent: TypeAlias = WordsSet

MAX_WORDS, MAX_WORD = 1_000, 100
MAX_BYTES = 30 * 1024  # keeps the event under 64 KiB


class Words(Struct, frozen=True):
    blocked: tuple[str, ...] = ()


def evolve(words: Words, event: WordsEvent) -> Words:
    match event:
        case WordsSet(blocked=blocked):
            return Words(blocked)


WORDS: Decider[Words, WordsEvent] = Decider("words", Words(), evolve, lambda words: None)


def set_words(words: Words, *, blocked: tuple[str, ...], reason: str) -> list[WordsEvent]:
    """Say anew which words they are; a word may be several. Large letters and small ones are the same."""
    because = stated(reason)
    wanted = tuple(sorted({_plain(word) for word in blocked}))
    if len(wanted) > MAX_WORDS or sum(len(word.encode()) for word in wanted) > MAX_BYTES:
        raise Invalid(
            "There are too many words.",
            FieldError("blocked", f"At most {MAX_WORDS} words, and {MAX_BYTES} bytes."),
        )
    if any(not 1 <= len(word) <= MAX_WORD or not word.isprintable() for word in wanted):
        raise Invalid(
            "The words cannot be used.",
            FieldError("blocked", f"A word has 1 to {MAX_WORD} printable characters."),
        )
    return [] if wanted == words.blocked else [WordsSet(blocked=wanted, reason=because)]


def allow(words: Words, **texts: str) -> None:
    """Raises Invalid that names each field with a blocked word in it, and the word."""
    if not words.blocked:
        return
    errors = [
        FieldError(field, f"This word is not allowed here: {found[0]}")
        for field, text in texts.items()
        if (found := _pattern(words.blocked).search(_plain(text)))
    ]
    if errors:
        raise Invalid("The text holds a word that is not allowed here.", *errors)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@lru_cache(maxsize=4)
def _pattern(blocked: tuple[str, ...]) -> re.Pattern[str]:
    """As whole words: `ass` is not in `grass`."""
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, reversed(blocked)))})(?!\w)")
