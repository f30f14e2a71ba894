"""The pictures that workflows are shown by, as JSON with where they are; how the reader says what our address is."""


def pictures(id: str, thumbnails: str) -> str:
    """SQL for the list, the smaller first. `id`, `thumbnails`: the columns."""
    return f"""CASE WHEN {thumbnails} = '[]' THEN '[]' ELSE (
        SELECT json_agg(json_build_object('digest', small.digest, 'media_type', small.media_type,
            'width', small.width, 'height', small.height, 'size_bytes', small.size_bytes,
            'url', current_setting('comfyplus.url', true) || '/api/v1/workflows/' || {id}
                || '/thumbnails/' || small.digest) ORDER BY small.width)
        FROM jsonb_to_recordset({thumbnails}) AS small
            (digest text, media_type text, width bigint, height bigint, size_bytes bigint)
    ) END"""
