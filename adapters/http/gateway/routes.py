"""Everything that ComfyUI's clients ask for, an address a line. Each is answered with and without `/api` before it."""

from adapters.http.gateway import files, metadata, uploads
from adapters.http.gateway.table import Route, Table

TABLE = Table(
    [
        Route("GET", "/view", files.view),
        Route("POST", "/upload/image", uploads.upload_image),
        Route("POST", "/upload/mask", uploads.upload_mask),
        Route("GET", "/view_metadata/{folder}", metadata.view_metadata),
        Route("GET", "/internal/files/{type}", files.listed),
    ]
)
