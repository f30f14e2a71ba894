"""From measurements to figures: medians, percentiles, and how far the rounds lie apart."""

from collections.abc import Sequence
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The value that a share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios: each round's two sides ran one after the other, under the same noise."""
    return median(our / their for our, their in zip(ours, theirs, strict=True))


def spread(values: Sequence[float]) -> str:
    """`1,234 (1,180-1,301)`: the median, and the least and most of the rounds."""
    low, middle, high = min(values), median(values), max(values)
    return f"{_short(middle)} ({_short(low)}-{_short(high)})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
