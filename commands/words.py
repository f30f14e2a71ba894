"""Blocked words: what administrators decide, for whatever is about to be read by everybody."""

from commands.needs import Command, Needs
from commands.streams import Accepted, Change, Context, Source
from domain import words
from domain.words import WORDS, WORDS_ID, Words, WordsEvent

BLOCKED: Source[Words, WordsEvent] = Source(WORDS, WORDS_ID)
"""What a decision about a public text rests on."""


class SetWords(Command, frozen=True, kw_only=True):
    """Whether the one who asks may do so is known by the caller."""

    blocked: tuple[str, ...]
    reason: str


async def set_words(command: SetWords, context: Context, needs: Needs) -> Accepted:
    """Raises Invalid, KeyReused."""

    def decide(state: Words) -> list[WordsEvent]:
        return words.set_words(state, blocked=command.blocked, reason=command.reason)

    return await needs.streams.transact(context, Change(WORDS, WORDS_ID, decide))
