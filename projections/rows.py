"""The rows of one table that a fold works on."""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import fields

if TYPE_CHECKING:
    from projections.projection import Table

Key = Any  # a table's primary key: one value, or a tuple in the order of the table's `key`
R = TypeVar("R", bound=Struct)


class NotLoadedError(Exception):
    """A fold looked at a row that its table's `touched` does not name for this event."""


class Rows(Generic[R]):
    """Complete rows by key; None where there is none.

    `whole`: nothing is stored yet, all there is is here, and all of it will be copied: changes are not noted.
    Inside, the number of a UUID stands for it: it is hashed and compared ten times as fast.
    """

    def __init__(self, table: "Table[R]", *, whole: bool = False) -> None:
        self.table = table
        self._whole = whole
        self._single = len(table.key) == 1
        self._grouped = not self._single and not table.grows_only
        ids = {field.name for field in fields(table.row) if _plain(field.type) is UUID}
        self._place = attrgetter(*(f"{name}.int" if name in ids else name for name in table.key))
        self._group: Callable[[Any], Any] = attrgetter("int") if table.key[0] in ids else _same
        if any(name in ids for name in table.key[1:]):
            raise TypeError(f"Table {table.name}: only the first column of a key may be a UUID.")
        self._rows: dict[Any, R | None] = {}
        self._changed: set[Any] = set()
        self._gone: dict[Any, Key] = {}
        self._known: set[Any] = set()
        self._members: dict[Any, list[Any]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: Key) -> R | None:
        """Raises NotLoadedError."""
        try:
            return self._rows[self._placed(key)]
        except KeyError:
            self._ensure_known(key if self._single else key[0])
            return None

    def of(self, group: Any) -> list[R]:
        """All rows whose key begins with a value. Raises NotLoadedError."""
        self._ensure_known(group)
        rows = (self._rows[place] for place in self._members.get(self._group(group), ()))
        return [row for row in rows if row is not None]

    def put(self, row: R) -> None:
        """Insert or replace."""
        place = self._place(row)
        self._keep(place, row)
        if not self._whole:
            self._changed.add(place)

    def edit(self, key: Key) -> R | None:
        """A row whose fields are to be set, but for those of its key. Raises NotLoadedError."""
        place = self._group(key) if self._single else self._placed(key)
        row = self._rows.get(place)
        if row is None:
            return self.get(key)  # gone, or not loaded
        if not self._whole:
            self._changed.add(place)
        return row

    def change(self, key: Key, **values: Any) -> None:
        """Set some fields of a row; a row that is gone stays gone. Raises NotLoadedError."""
        row = self.edit(key)
        if row is not None:
            for name, value in values.items():
                setattr(row, name, value)

    def remove(self, key: Key) -> None:
        if self.get(key) is None:
            return
        place = self._placed(key)
        self._rows[place] = None
        if not self._whole:
            self._changed.add(place)
            self._gone[place] = key

    def remove_of(self, group: Any) -> None:
        key = attrgetter(*self.table.key)
        for row in self.of(group):
            self.remove(key(row))

    # what the writer does with them

    def unknown(self, groups: Iterable[Any]) -> list[Any]:
        """Those of the groups that must be loaded first."""
        wanted = {self._group(group): group for group in groups}
        known = self._rows if self._single else self._known
        return [group for place, group in wanted.items() if place not in known]

    def load(self, groups: Iterable[Any], rows: Iterable[R]) -> None:
        """Take in all stored rows of some groups."""
        places = map(self._group, groups)
        if self._single:
            self._rows.update(dict.fromkeys(places))
        else:
            self._known.update(places)
        for row in rows:
            self._keep(self._place(row), row)

    def take(self) -> tuple[list[R], list[Key]]:
        """What has to be stored: rows to insert or replace, and keys to delete. Forgets that it was changed."""
        rows, gone = [], []
        for place in sorted(self._changed):  # neighbours in the index one after the other
            row = self._rows[place]
            if row is None:
                gone.append(self._gone[place])
            else:
                rows.append(row)
        self._changed.clear()
        self._gone.clear()
        if self.table.grows_only:
            self._rows.clear()
        return rows, gone

    def everything(self) -> list[R]:
        return [row for row in self._rows.values() if row is not None]

    def forget(self) -> None:
        self._rows.clear()

    def _placed(self, key: Key) -> Any:
        return self._group(key) if self._single else (self._group(key[0]), *key[1:])

    def _keep(self, place: Any, row: R) -> None:
        if self._grouped and place not in self._rows:
            self._members.setdefault(place[0], []).append(place)
        self._rows[place] = row

    def _ensure_known(self, group: Any) -> None:
        known = self._rows if self._single else self._known
        if not self._whole and self._group(group) not in known:
            raise NotLoadedError(f"Table {self.table.name}: the rows of {group} were not loaded.")


def _plain(annotation: Any) -> Any:
    """What a NewType stands for."""
    return getattr(annotation, "__supertype__", annotation)


def _same(value: Any) -> Any:
    return value
