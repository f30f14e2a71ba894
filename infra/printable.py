"""What others wrote, as a terminal may show it."""


def printable(text: str, *, lines: bool = False) -> str:
    """Without what a terminal would obey. `lines`: ends of lines stay."""
    kept = "\n\t" if lines else ""
    return "".join(
        letter if letter.isprintable() or letter in kept else f"\\u{ord(letter):04x}" for letter in text
    )


def size(size_bytes: int) -> str:
    """In the unit that leaves one to four digits."""
    amount, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
