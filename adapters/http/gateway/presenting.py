"""Runs as ComfyUI's own answers show prompts: an item of its queue, an entry of its history, a job.

Files bear the names that the account's clients know them by; whatever leads into a server's folders is left out.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from domain.file_name import FileName
from domain.outcome import Course, Failure, FailureKind
from domain.run import Status
from projections.prompts import PromptRow

Names: TypeAlias = Mapping[tuple[str, int], FileName]
"""Of a run's files, by the node of the graph and the place among its files."""

FOLDERS = {"output", "temp"}
HIDDEN = {"fullpath"}
STATUS = {
    Status.QUEUED: "pending",
    Status.RUNNING: "in_progress",
    Status.SUCCEEDED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}
EXCEPTIONS = {FailureKind.OUT_OF_MEMORY: "torch.OutOfMemoryError"}


def milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def item(row: PromptRow, graph: Any, extra: Mapping[str, Any], outputs: tuple[str, ...] = ()) -> list[Any]:
    """Of the queue: number, id, graph, what was sent along, output nodes."""
    number = int(row.number) if row.number.is_integer() else row.number
    return [number, row.prompt, graph, {**extra, "client_id": row.client or ""}, list(outputs)]


def entry(
    row: PromptRow, graph: Any, extra: Mapping[str, Any], outputs: tuple[str, ...], names: Names
) -> dict[str, Any]:
    """Of the history."""
    shown = outputs_of(row.course, names)
    return {
        "prompt": item(row, graph, extra, outputs),
        "outputs": shown,
        "status": {
            "status_str": "success" if row.status is Status.SUCCEEDED else "error",
            "completed": row.status is Status.SUCCEEDED,
            "messages": messages(row, graph),
        },
        "meta": {node: meta(node, row.course) for node in shown},
    }


def messages(row: PromptRow, graph: Any) -> list[tuple[str, dict[str, Any]]]:
    """What happened, as the socket told it."""
    began = {"prompt_id": row.prompt, "timestamp": milliseconds(row.started_at or row.submitted_at)}
    ended = {"prompt_id": row.prompt, "timestamp": milliseconds(row.ended_at or row.submitted_at)}
    cached = list(row.course.cached) if row.course else []
    told = [("execution_start", began), ("execution_cached", {"nodes": cached, **began})]
    match row.status:
        case Status.SUCCEEDED:
            return [*told, ("execution_success", ended)]
        case Status.CANCELLED:
            return [*told, ("execution_interrupted", {**ended, **interrupted(row.course, graph)})]
        case _:
            return [*told, ("execution_error", {**ended, **error(row.failure, row.course)})]


def interrupted(course: Course | None, graph: Any) -> dict[str, Any]:
    *executed, node = course.executed if course and course.executed else ("",)
    return {"node_id": node, "node_type": class_of(graph, node), "executed": executed}


def class_of(graph: Any, node: str) -> str:
    """Of a node of a graph, which may be JSON as its client sent it; empty where that does not tell."""
    try:
        found = msgspec.convert(
            msgspec.json.decode(graph) if isinstance(graph, Raw) else graph, dict[str, Any]
        )
        return str(found[node]["class_type"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return ""


def error(failure: Failure | None, course: Course | None) -> dict[str, Any]:
    """In our plain words: ComfyUI's own carry the server's folders and what other people's files are called."""
    executed = [] if course is None else list(course.executed)
    if failure is None:
        failure = Failure(FailureKind.LOST, "The run failed.")
    said = f"{failure.reason} {failure.advice}".strip()
    return {
        "node_id": failure.node or "",
        "node_type": failure.node_class or "",
        "executed": [node for node in executed if node != failure.node],
        "exception_message": said,
        "exception_type": EXCEPTIONS.get(failure.kind, "RuntimeError"),
        "traceback": [],
        "current_inputs": {},
        "current_outputs": executed,
    }


def outputs_of(course: Course | None, names: Names) -> dict[str, dict[str, Any]]:
    """What each node showed, by its id. Of a run that tells no course, its files."""
    shown: dict[str, dict[str, Any]] = {}
    places: dict[str, int] = {}
    for each in course.shown if course else ():
        ui = msgspec.json.decode(each.shown)
        shown[each.node], places[each.display] = renamed(ui, each.display, places.get(each.display, 0), names)
    for (node, index), name in names.items():
        if index >= places.get(node, 0):
            images = shown.setdefault(node, {}).setdefault("images", [])
            images.append(msgspec.structs.asdict(name))
    return shown


def renamed(ui: Any, display: str, place: int, names: Names) -> tuple[dict[str, Any], int]:
    """What a node showed with its files' names, and the place of the next file of its node. Lost files are left out."""
    shown: dict[str, Any] = {}
    for kind, told in ui.items() if isinstance(ui, dict) else ():
        if not isinstance(told, list):
            shown[kind] = told
            continue
        kept = shown[kind] = []
        for each in told:
            if not is_file(each):
                kept.append(each)
                continue
            if (name := names.get((display, place))) is not None:
                about = {key: value for key, value in each.items() if key not in HIDDEN}
                kept.append(about | msgspec.structs.asdict(name))
            place += 1
    return shown, place


def is_file(told: Any) -> bool:
    """One that is kept as an output: it may as well name an input, which is not."""
    return isinstance(told, dict) and "filename" in told and told.get("type", "output") in FOLDERS


def meta(node: str, course: Course | None) -> dict[str, Any]:
    display = next((each.display for each in course.shown if each.node == node), node) if course else node
    return {"node_id": node, "display_node": display, "parent_node": None, "real_node_id": node}


def job(row: PromptRow, names: Names) -> dict[str, Any]:
    """As the newer editors list what waits, runs and ran."""
    shown = outputs_of(row.course, names) if row.status is Status.SUCCEEDED else {}
    return {
        "id": row.prompt,
        "status": STATUS[row.status],
        "create_time": milliseconds(row.submitted_at),
        "execution_start_time": milliseconds(row.started_at) if row.started_at else None,
        "execution_end_time": milliseconds(row.ended_at) if row.ended_at else None,
        "priority": int(row.number) if row.number.is_integer() else row.number,
        "outputs_count": row.outputs,
        "preview_output": preview(shown),
        "workflow_id": str(row.workflow) if row.workflow else None,
        "execution_error": job_error(row),
    }


def job_error(row: PromptRow) -> dict[str, Any] | None:
    if row.status is not Status.FAILED:
        return None
    told = error(row.failure, row.course)
    names = ("node_id", "node_type", "exception_message", "exception_type", "traceback")
    return {name: told[name] for name in names}


def preview(shown: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The last file of those for keeping, else the last of all."""
    files = [
        {**each, "nodeId": node, "mediaType": kind}
        for node, ui in shown.items()
        for kind, told in ui.items()
        if isinstance(told, list)
        for each in told
        if is_file(each)
    ]
    kept = [each for each in files if each["type"] == "output"]
    found = kept or files
    return found[-1] if found else None
