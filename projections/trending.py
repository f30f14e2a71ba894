"""What trends: every sign of interest counts half as much after two days, and none has to be looked at again for it.

A trend is the logarithm of the sum of all signs, each doubled for every half-life that it came later. So the order of
two of them never changes by itself, and the same events give the same numbers whenever they are folded.
"""

from datetime import UTC, datetime, timedelta
from math import log2

HALF_LIFE = timedelta(days=2)
BEGUN = datetime(2020, 1, 1, tzinfo=UTC)
NOTHING = 0
PRECISION = 1_000_000  # whole numbers sort and page exactly


def raised(trend: int, at: datetime, weight: float = 1.0) -> int:
    """A trend after one more sign of interest."""
    sign = log2(weight) + (at - BEGUN) / HALF_LIFE
    if trend == NOTHING:
        return round(sign * PRECISION)
    low, high = sorted((trend / PRECISION, sign))
    return round((high + log2(1.0 + 2.0 ** (low - high))) * PRECISION)
