"""Names that must be unique, in the form in which they are compared."""

import re
import unicodedata

from domain.refusals import FieldError, Invalid

USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,38}[A-Za-z0-9]")
EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f.]+(\.[^@\s\x00-\x1f.]+)*")
MIN_PASSWORD, MAX_PASSWORD = 8, 200
MAX_EMAIL = 254
NO_EMAIL = "This is not an e-mail address."
PASSWORD_LENGTH = f"It must have {MIN_PASSWORD} to {MAX_PASSWORD} characters."


def canonical_username(username: str) -> str:
    return username.strip().lower()


def canonical_email(email: str) -> str:
    """Case is ignored before the @ too: no mail service people use tells `Ann@` and `ann@` apart."""
    return unicodedata.normalize("NFKC", email.strip()).casefold()


def check_registration(username: str, email: str, password: str) -> None:
    """Raises Invalid with every error at once."""
    errors = []
    if not USERNAME.fullmatch(username):
        errors.append(
            FieldError(
                "username",
                "It must have 3 to 40 letters, digits, dots, dashes or underscores, none at its ends.",
            )
        )
    if not is_email(email):
        errors.append(FieldError("email", NO_EMAIL))
    if not _long_enough(password):
        errors.append(FieldError("password", PASSWORD_LENGTH))
    if errors:
        raise Invalid("The account cannot be registered like this.", *errors)


def check_email(email: str) -> None:
    """Raises Invalid."""
    if not is_email(email):
        raise Invalid("The e-mail address cannot be taken.", FieldError("email", NO_EMAIL))


def check_password(password: str, field: str = "password") -> None:
    """Raises Invalid."""
    if not _long_enough(password):
        raise Invalid("The password cannot be taken.", FieldError(field, PASSWORD_LENGTH))


def is_email(email: str) -> bool:
    """Whether it looks like one."""
    return len(email) <= MAX_EMAIL and EMAIL.fullmatch(email) is not None


def _long_enough(password: str) -> bool:
    return MIN_PASSWORD <= len(password) <= MAX_PASSWORD
