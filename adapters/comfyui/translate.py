"""ComfyUI's errors in plain words: what failed, where, and what may help.

Its own texts carry server paths, tracebacks and other people's file names; none of that gets through.
"""

import re
from collections.abc import Mapping

from domain.outcome import Failure, FailureKind
from workflows.protocol.messages import ErrorBody
from workflows.protocol.prompt import NodeProblems, PromptProblem

MAX_REASON = 500
HIDDEN = "(a file on the server)"

_FOREIGN = re.compile(
    r"""(?P<quote>['"])(?:[A-Za-z]:)?[\\/].*?(?P=quote)|"""  # quoted paths may have spaces
    r"""(?:[A-Za-z]:[\\/]|\\\\|(?<![\w.:/<])/)(?:[^\s'"<>|:,;()/\\]+[\\/])*[^\s'"<>|:,;()/\\]+"""  # paths
    r"""|user-[0-9a-fA-F-]{8,}[\\/][^\s'"<>|,;]+"""  # what an account has uploaded
)
_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|cannot allocate memory", re.IGNORECASE)
_NODE_NUMBER = re.compile(r"Node ID '#([^']+)'")
_UNKNOWN_CLASS = re.compile(r"node (\S+) does not exist")

EXPORT = "Export the workflow from ComfyUI with 'Save (API Format)' and try again."
LINKS = "Look at what is linked to this node."

# type of a node's error -> (reason, advice); {input} and {value} are the graph's own
NODE_TEXTS: Mapping[str, tuple[str, str]] = {
    "required_input_missing": ("The input {input} is missing.", "Fill it in or link something to it."),
    "value_smaller_than_min": ("{input} is too small: {value}.", "Choose a larger value."),
    "value_bigger_than_max": ("{input} is too large: {value}.", "Choose a smaller value."),
    "invalid_input_type": ("{input} is of the wrong type: {value}.", "Choose a value of the right type."),
    "value_not_in_list": (
        "{input}: {value} is not available on this backend.",
        "Choose a model or an option that the backend has, or ask its administrator to install it.",
    ),
    "return_type_mismatch": ("{input} is linked to an output of another type.", LINKS),
    "bad_linked_input": ("The link of {input} is broken.", LINKS),
    "exception_during_inner_validation": ("A link into this node leads nowhere.", LINKS),
    "exception_during_validation": ("The node is incomplete, or a link leads nowhere.", LINKS),
    "custom_validation_failed": (
        "The node refuses its inputs: {input} cannot be used.",
        "Check that the files it names have been uploaded.",
    ),
}


def refusal(error: PromptProblem | None, node_errors: Mapping[str, NodeProblems]) -> Failure:
    """Why a graph was not accepted, or not wholly: the first node at fault stands for all."""
    for node, problems in node_errors.items():
        for problem in problems.errors:
            return _node_refusal(node, problems.class_type, problem)
    if error is None:
        return Failure(FailureKind.VALIDATION, "The backend left out a part of the graph.")
    return _graph_refusal(error)


def _node_refusal(node: str, node_class: str, problem: PromptProblem) -> Failure:
    unknown = (f"The node does not accept its inputs: {clean(problem.message)}", "")
    reason, advice = NODE_TEXTS.get(problem.type, unknown)
    name = problem.extra_info.get("input_name") or problem.details.split(",")[0].split(":")[0].split(" - ")[0]
    value = problem.extra_info.get("received_value", "the given value")
    if problem.type in NODE_TEXTS:
        reason = reason.format(input=_short(name), value=_short(value))
    return Failure(FailureKind.VALIDATION, reason[:MAX_REASON], node, node_class or None, advice)


def _graph_refusal(error: PromptProblem) -> Failure:
    numbered = _NODE_NUMBER.search(error.details)
    node = numbered[1] if numbered else None
    match error.type:
        case "invalid_prompt" if unknown := _UNKNOWN_CLASS.search(error.message):
            reason, advice = (
                f"This backend does not have the node {unknown[1]}.",
                "Its administrator has to install the custom nodes that provide it.",
            )
            return Failure(FailureKind.VALIDATION, reason[:MAX_REASON], node, unknown[1][:200], advice)
        case "invalid_prompt":
            reason, advice = "A node of the graph has no class.", EXPORT
        case "prompt_no_outputs":
            reason, advice = "The graph has no output node.", "Add a node that saves or shows the result."
        case "no_prompt":
            reason, advice = "There is no graph.", EXPORT
        case "prompt_outputs_failed_validation" if not error.details:
            reason, advice = "The nodes of the graph form a circle.", "Remove one of the links of the circle."
        case _:
            reason, advice = "The backend does not accept the graph.", "Try it in ComfyUI's own editor."
    return Failure(FailureKind.VALIDATION, reason, node, None, advice)


def node_failure(error: ErrorBody) -> Failure:
    """Why a node broke while it was executed."""
    if "OutOfMemory" in error.exception_type or _OUT_OF_MEMORY.search(error.exception_message):
        return Failure(
            FailureKind.OUT_OF_MEMORY,
            "The backend ran out of memory.",
            error.node_id,
            error.node_type,
            "Use a smaller picture, a smaller batch or a smaller model.",
        )
    text = clean(error.exception_message.strip().split("\n")[0])
    kind = error.exception_type.rpartition(".")[2]
    reason = text or f"The node stopped with {clean(kind) or 'an error'}."
    return Failure(
        FailureKind.NODE,
        reason[:MAX_REASON],
        error.node_id,
        error.node_type,
        "Check the node's inputs; the same graph in ComfyUI's own editor shows the details.",
    )


def clean(text: str) -> str:
    """Without server paths and uploaded files' names, printable, not too long."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * MAX_REASON])
    return _FOREIGN.sub(HIDDEN, printable).strip()[:MAX_REASON]


def _short(value: object) -> str:
    text = clean(str(value))
    return text if len(text) <= 120 else text[:117] + "..."
