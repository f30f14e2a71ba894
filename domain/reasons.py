"""Why somebody decided something: asked for where others will want to know."""

from domain.refusals import FieldError, Invalid

MAX_REASON = 2_000


def stated(reason: str) -> str:
    """The reason without blanks around it. Raises Invalid when there is none."""
    stripped = reason.strip()
    if not 1 <= len(stripped) <= MAX_REASON:
        raise Invalid(
            "The reason is missing or too long.",
            FieldError("reason", f"It must have 1 to {MAX_REASON} characters."),
        )
    if any(ord(letter) < 32 and letter not in "\t\r\n" for letter in stripped):
        raise Invalid("The reason holds control characters.", FieldError("reason", "Control characters."))
    return stripped
