"""For whom things are that are not for everybody, as administrators say it and are shown it."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from commands.audiences import Restriction
from domain.audience import Audience

For = Annotated[
    Restriction,
    Meta(
        description="Who may use it: by role, by username or id; left out: everybody.",
        examples=[{"roles": ["admin"]}],
    ),
]


class AudienceAnswer(Struct):
    roles: list[str]
    accounts: list[UUID]


def shown_audience(audience: Audience | None) -> AudienceAnswer | None:
    return None if audience is None else AudienceAnswer(list(audience.roles), list(audience.accounts))
