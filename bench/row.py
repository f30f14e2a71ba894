"""A row of the bench: a figure, what it must reach, and how it came about."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct


class Figure(Struct, frozen=True):
    """What was measured. `detail` says what a reader needs to judge it: the sides, the rounds, the noise."""

    value: float
    detail: str


class Target(Struct, frozen=True):
    """`at_least`: the limit is a floor, else a ceiling."""

    unit: str
    limit: float
    at_least: bool

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"


class Row(Struct, frozen=True):
    """A figure as it stands in latest.json."""

    name: str
    value: float
    unit: str
    target: str
    met: bool
    detail: str


class Ground(Struct, frozen=True):
    """Where a measurement may keep its servers' data, and whether it is only to show that it works."""

    folder: Path
    quick: bool

    def seconds(self, full: float) -> float:
        return min(full, 1.0) if self.quick else full

    def rounds(self, full: int) -> int:
        return 1 if self.quick else full

    def count(self, full: int, quick: int) -> int:
        return quick if self.quick else full


Measurement: TypeAlias = Callable[[Ground], Mapping[str, Figure]]
"""Starts what it needs in the ground's folder, stops it, and returns a figure for each of its rows."""


def row(name: str, target: Target, figure: Figure) -> Row:
    value = float(f"{figure.value:.4g}")
    return Row(name, value, target.unit, str(target), target.met(figure.value), figure.detail)
