"""The rows of one table that a fold works on."""

from collections import defaultdict
from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from projections.projection import Table

Key = Any  # a table's primary key: one value, or a tuple in the order of the table's `key`
R = TypeVar("R", bound=Struct)


class NotLoadedError(Exception):
    """A fold looked at a row that its table's `touched` does not name for this event."""


class Rows(Generic[R]):
    """Complete rows by key; None where there is none.

    `whole`: nothing is stored yet, all there is is here, and all of it will be copied: changes are not noted.
    """

    def __init__(self, table: "Table[R]", *, whole: bool = False) -> None:
        self.table = table
        self.changed: set[Key] = set()
        self._whole = whole
        self._rows: dict[Key, R | None] = {}
        self._known: set[Any] = set()
        self._members: defaultdict[Any, set[Key]] = defaultdict(set)
        self._key = attrgetter(*table.key)
        self._single = len(table.key) == 1
        self._grouped = not self._single and not table.grows_only

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: Key) -> R | None:
        """Raises NotLoadedError."""
        try:
            return self._rows[key]
        except KeyError:
            self._ensure_known(key if self._single else key[0])
            return None

    def of(self, group: Any) -> list[R]:
        """All rows whose key begins with a value. Raises NotLoadedError."""
        self._ensure_known(group)
        rows = (self._rows[key] for key in self._members.get(group, ()))
        return [row for row in rows if row is not None]

    def put(self, row: R) -> None:
        """Insert or replace."""
        key = self._key(row)
        self._rows[key] = row
        if not self._whole:
            self.changed.add(key)
        if self._grouped:
            self._members[key[0]].add(key)

    def change(self, key: Key, **fields: Any) -> None:
        """Set some fields of a row; a row that is gone stays gone. Raises NotLoadedError."""
        row = self._rows.get(key)
        if row is None:
            self.get(key)  # gone, or not loaded
            return
        for name, value in fields.items():
            setattr(row, name, value)
        if not self._whole:
            self.changed.add(key)

    def remove(self, key: Key) -> None:
        if self.get(key) is not None:
            self._rows[key] = None
            if not self._whole:
                self.changed.add(key)

    def remove_of(self, group: Any) -> None:
        for row in self.of(group):
            self.remove(self._key(row))

    # what the writer does with them

    def unknown(self, groups: Iterable[Any]) -> set[Any]:
        """Those of the groups that must be loaded first."""
        return set(groups) - self._known

    def load(self, groups: Iterable[Any], rows: Iterable[R]) -> None:
        """Take in all stored rows of some groups."""
        self._known.update(groups)
        if self._single:
            self._rows.update(dict.fromkeys(groups))
        for row in rows:
            key = self._key(row)
            self._rows[key] = row
            if self._grouped:
                self._members[key[0]].add(key)

    def take(self) -> tuple[list[R], list[Key]]:
        """What has to be stored: rows to insert or replace, and keys to delete. Forgets that it was changed."""
        rows, gone = [], []
        for key in self.changed:
            row = self._rows[key]
            if row is None:
                gone.append(key)
            else:
                rows.append(row)
        self.changed.clear()
        if self.table.grows_only:
            self._rows.clear()
        return rows, gone

    def everything(self) -> list[R]:
        return [row for row in self._rows.values() if row is not None]

    def forget(self) -> None:
        self._rows.clear()

    def _ensure_known(self, group: Any) -> None:
        if not self._whole and group not in self._known:
            raise NotLoadedError(f"Table {self.table.name}: the rows of {group} were not loaded.")
