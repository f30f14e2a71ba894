"""What the editor does to texts on their way into the graph: comments go, choices are made, names are filled in."""

import re
from collections.abc import Callable

MAX_DEPTH = 20
_COMMENT = re.compile(r"/\*|//[^\n\r\u2028\u2029]*")
_NAMED = re.compile(r"%([^%]+)%")
_UNFIT = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
_ESCAPED = re.compile(r"\\([{}|])")


class AtRandomError(Exception):
    """The text is another one at each run."""


class TooDeepError(Exception):
    """Its braces are nested beyond all reason."""


def resolved(text: str, depth: int = 0) -> str:
    """A prompt without comments and braces. Raises AtRandomError where it offers a choice, TooDeepError."""
    if depth > MAX_DEPTH:
        raise TooDeepError
    text = _uncommented(text)
    result, at = [], 0
    while at < len(text):
        letter = text[at]
        at += 1
        if letter == "\\":
            result.append("\\" + text[at : at + 1])
            at += 1
        elif letter == "{":
            only, at = _only(text, at)
            result.append(resolved(only, depth + 1))
        else:
            result.append(letter)
    return _ESCAPED.sub(r"\1", "".join(result))


def filled_in(text: str, value_of: Callable[[str, str], str | None]) -> str:
    """`%node.widget%` as the value of that widget. Dates stay: they belong to the run, not to the workflow."""

    def replacement(found: re.Match[str]) -> str:
        node, dot, widget = found[1].partition(".")
        if not dot or "." in widget:
            return found[0]
        value = value_of(node, widget)
        return found[0] if value is None else _UNFIT.sub("_", value)

    return _NAMED.sub(replacement, text)


def _uncommented(text: str) -> str:
    """One that is not closed is none. Where none is closed any more is not looked for again with each that begins."""
    kept, at, last = [], 0, text.rfind("*/")
    while found := _COMMENT.search(text, at):
        begin, end = found.span()
        if found[0] == "/*":
            if end > last:  # what closes it would have to come behind
                kept.append(text[at:end])
                at = end
                continue
            end = text.index("*/", end) + 2
        kept.append(text[at:begin])
        at = end
    return "".join([*kept, text[at:]])


def _only(text: str, at: int) -> tuple[str, int]:
    """The one thing that stands between braces, and where the text goes on. Raises AtRandomError."""
    found, depth = [], 0
    while at < len(text):
        letter = text[at]
        at += 1
        if letter == "\\":
            found.append("\\" + text[at : at + 1])
            at += 1
            continue
        if letter == "{":
            depth += 1
        elif letter == "}":
            if not depth:
                break
            depth -= 1
        elif letter == "|" and not depth:
            raise AtRandomError
        found.append(letter)
    return "".join(found), at
