"""Everything that ComfyUI's clients ask for, an address a line. Each is answered with and without `/api` before it."""

from adapters.http.gateway.table import Table

TABLE = Table([])
