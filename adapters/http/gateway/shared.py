"""What all calls of one process have in common."""

from msgspec import Struct

from adapters.http.gateway.desk import Desks
from adapters.http.gateway.documents import Documents
from adapters.http.parts import Parts


class Shared(Struct, frozen=True):
    documents: Documents
    desks: Desks


def shared(parts: Parts) -> Shared:
    return Shared(Documents(parts), Desks(parts))
