"""Everything that ComfyUI's clients ask for, an address a line. Each is answered with and without `/api` before it."""

from adapters.http.gateway import files, history, metadata, prompts, queueing, uploads
from adapters.http.gateway.table import Route, Table

TABLE = Table(
    [
        Route("GET", "/view", files.view),
        Route("POST", "/upload/image", uploads.upload_image),
        Route("POST", "/upload/mask", uploads.upload_mask),
        Route("GET", "/view_metadata/{folder}", metadata.view_metadata),
        Route("GET", "/internal/files/{type}", files.listed),
        Route("GET", "/prompt", queueing.length),
        Route("POST", "/prompt", prompts.submit),
        Route("GET", "/queue", queueing.queue),
        Route("POST", "/queue", queueing.change_queue),
        Route("POST", "/interrupt", queueing.interrupt),
        Route("GET", "/history", history.history),
        Route("POST", "/history", history.change),
        Route("GET", "/history/{id}", history.one),
        Route("GET", "/history_v2/{id}", history.one_or_none),
        Route("GET", "/jobs", history.jobs),
        Route("POST", "/jobs/cancel", queueing.cancel_jobs),
        Route("GET", "/jobs/{id}", history.one_job),
        Route("POST", "/jobs/{id}/cancel", queueing.cancel_job),
    ]
)
