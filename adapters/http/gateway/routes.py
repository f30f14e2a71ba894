"""Everything that ComfyUI's clients ask for, an address a line. Each is answered with and without `/api` before it."""

from adapters.http.gateway import (
    about,
    classes,
    files,
    history,
    metadata,
    model_lists,
    prompts,
    queueing,
    uploads,
)
from adapters.http.gateway import about, classes, extensions, files, metadata, model_lists, uploads
from adapters.http.gateway.table import Route, Table

TABLE = Table(
    [
        Route("GET", "/view", files.view),
        Route("POST", "/upload/image", uploads.upload_image),
        Route("POST", "/upload/mask", uploads.upload_mask),
        Route("GET", "/view_metadata/{folder}", metadata.view_metadata),
        Route("GET", "/internal/files/{type}", files.listed),
        Route("GET", "/object_info", classes.object_info),
        Route("GET", "/object_info/{class}", classes.object_info_of),
        Route("GET", "/models", model_lists.folders),
        Route("GET", "/models/{folder}", model_lists.files),
        Route("GET", "/experiment/models", model_lists.folders_with_places),
        Route("GET", "/experiment/models/{folder}", model_lists.files_with_places),
        Route("GET", "/embeddings", model_lists.embeddings),
        Route("GET", "/extensions", extensions.listed),
        Route("GET", "/extensions/{path*}", extensions.one),
        Route("GET", "/system_stats", about.system_stats),
        Route("GET", "/features", about.show_features),
        Route("GET", "/i18n", about.nothing_by_name),
        Route("GET", "/global_subgraphs", about.nothing_by_name),
        Route("GET", "/workflow_templates", about.nothing_by_name),
        Route("GET", "/internal/folder_paths", about.nothing_by_name),
        Route("GET", "/internal/logs", about.no_log),
        Route("GET", "/internal/logs/raw", about.no_log_entries),
        Route("PATCH", "/internal/logs/subscribe", about.no_log_to_follow),
        Route("POST", "/free", about.free),
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
