"""What is left of somebody's limits, in the header fields of draft-ietf-httpapi-ratelimit-headers-10."""

from collections.abc import Sequence

from domain.limits import Quota


def rate_limits(quotas: Sequence[Quota]) -> dict[str, str]:
    """`RateLimit-Policy` tells the limits, `RateLimit` what is left and when they begin anew. None without limits."""
    if not quotas:
        return {}
    policies = [f'"{each.name}";q={each.limit}' + _or_nothing("w", each.window_s) for each in quotas]
    states = [f'"{each.name}";r={each.left}' + _or_nothing("t", each.reset_s) for each in quotas]
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}


def _or_nothing(name: str, seconds: int | None) -> str:
    return "" if seconds is None else f";{name}={seconds}"
