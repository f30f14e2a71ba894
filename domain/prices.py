"""What a second of a machine costs: by the name of its backend, else by its pool, else what all cost."""

from msgspec import Struct

POOL = "pool:"
ALL = "*"


class Prices(Struct, frozen=True):
    """In whatever unit the operator thinks in."""

    backends: dict[str, float] = {}
    pools: dict[str, float] = {}
    others: float = 0.0

    def of(self, backend: str, pool: str | None) -> float:
        if backend in self.backends:
            return self.backends[backend]
        return self.others if pool is None else self.pools.get(pool, self.others)


def read_prices(text: str) -> Prices:
    """`gpu-1=0.0004, pool:studio=0.0002, *=0.0001`. Raises ValueError."""
    backends: dict[str, float] = {}
    pools: dict[str, float] = {}
    others = 0.0
    for each in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = (part.strip() for part in each.rpartition("="))
        price = float(number)
        if not equals or not name or not 0 <= price < 1e9:
            raise ValueError(f"{each!r} is no price: name=number.")
        if name == ALL:
            others = price
        elif name.startswith(POOL):
            pools[name.removeprefix(POOL)] = price
        else:
            backends[name] = price
    return Prices(backends, pools, others)
