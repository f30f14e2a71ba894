"""What ComfyUI finds wrong with a graph before it queues it, in its words and shapes."""

import traceback
from typing import Any

from msgspec import Struct, field

from infra.sandbox.folders import Folders
from infra.sandbox.node import NodeClass
from workflows.protocol.prompt import GraphJson, NodeProblems, PromptProblem, PromptRefused

LISTED = 20  # longer lists of choices are not sent back
CASTS: dict[str, type] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


class Valid(Struct, frozen=True):
    """`outputs` will be run; output nodes that depend on a node in `node_errors` are left out."""

    outputs: tuple[str, ...]
    node_errors: dict[str, NodeProblems]


class _Findings(Struct):
    """Per node: None while it is looked at, else whether it is fit to run and what is wrong with it."""

    graph: GraphJson
    nodes: dict[str, NodeClass]
    folders: Folders
    fit: dict[str, bool | None] = field(default_factory=dict)
    problems: dict[str, tuple[PromptProblem, ...]] = field(default_factory=dict)


def validate(
    graph: GraphJson, nodes: dict[str, NodeClass], folders: Folders, targets: list[str] | None
) -> Valid | PromptRefused:
    """Check a graph, casting its literals in place. Raises TypeError on what the original trips over."""
    found = _outputs(graph, nodes, targets)
    if isinstance(found, PromptRefused):
        return found
    findings = _Findings(graph, nodes, folders)
    good: list[str] = []
    spoiled: dict[str, list[str]] = {}
    told: list[str] = []
    for output in found:
        if _output_fit(findings, output):
            good.append(output)
            continue
        told += [f"{problem.message}: {problem.details}" for problem in findings.problems.get(output, ())]
        for node, problems in findings.problems.items():
            if problems:
                spoiled.setdefault(node, []).append(output)
    errors = {
        node: NodeProblems(
            errors=findings.problems[node],
            dependent_outputs=tuple(outputs),
            class_type=graph[node]["class_type"],
        )
        for node, outputs in spoiled.items()
    }
    if good:
        return Valid(tuple(good), errors)
    return _refused(
        "prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(told), errors
    )


def _refused(
    type: str, message: str, details: str = "", node_errors: dict[str, NodeProblems] | None = None
) -> PromptRefused:
    return PromptRefused(
        error=PromptProblem(type=type, message=message, details=details), node_errors=node_errors or {}
    )


def no_prompt() -> PromptRefused:
    return _refused("no_prompt", "No prompt provided", "No prompt provided")


def _outputs(
    graph: GraphJson, nodes: dict[str, NodeClass], targets: list[str] | None
) -> list[str] | PromptRefused:
    outputs = []
    for node in graph:
        where = f"Node ID '#{node}'"
        if not isinstance(graph[node], dict) or "class_type" not in graph[node]:
            message = "Cannot execute because a node is missing the class_type property."
            return _refused("invalid_prompt", message, where)
        class_type = graph[node]["class_type"]
        if class_type not in nodes:
            return _refused(
                "invalid_prompt", f"Cannot execute because node {class_type} does not exist.", where
            )
        if nodes[class_type].shows and (targets is None or node in targets):
            outputs.append(node)
    return outputs or _refused("prompt_no_outputs", "Prompt has no outputs")


def _output_fit(findings: _Findings, output: str) -> bool:
    try:
        return _fit(findings, output)
    except Exception as error:  # a broken graph breaks in many ways; all are told as the node's problem
        findings.fit[output] = False
        findings.problems[output] = (
            PromptProblem(
                type="exception_during_validation",
                message="Exception when validating node",
                details=str(error),
                extra_info={
                    "exception_type": type(error).__name__,
                    "traceback": traceback.format_tb(error.__traceback__),
                },
            ),
        )
        return False


def _fit(findings: _Findings, node: str) -> bool:
    if node in findings.fit:
        return findings.fit[node] is True  # a node met while it is looked at lies on a cycle
    inputs = findings.graph[node]["inputs"]
    declared = findings.nodes[findings.graph[node]["class_type"]]
    findings.fit[node] = None
    problems: list[PromptProblem] = []
    sound = True
    for name in (*declared.required, *declared.optional):
        if name not in inputs:
            if name in declared.required:
                problems.append(_problem("required_input_missing", "Required input is missing", name, name))
        elif isinstance(inputs[name], list):
            problem, upstream = _check_link(findings, declared, name, inputs[name])
            problems += [problem] if problem else []
            sound = sound and upstream
        else:
            problem = _check_literal(findings, declared, name, inputs)
            problems += [problem] if problem else []
    if declared.check and declared.check[0] in inputs:
        name, check = declared.check
        reason = check(findings.folders, inputs[name])
        if reason is not None:
            message = "Custom validation failed for node"
            problems.append(_problem("custom_validation_failed", message, f"{name} - {reason}", name))
    findings.problems[node] = tuple(problems)
    findings.fit[node] = sound and not problems
    return findings.fit[node] is True


def _problem(type: str, message: str, details: str, name: str, **more: Any) -> PromptProblem:
    return PromptProblem(type=type, message=message, details=details, extra_info={"input_name": name} | more)


def _config(findings: _Findings, declared: NodeClass, name: str) -> list[Any]:
    wanted = declared.required.get(name) or declared.optional[name]
    return [wanted.resolved(findings.folders), wanted.options]


def _check_link(
    findings: _Findings, declared: NodeClass, name: str, link: list[Any]
) -> tuple[PromptProblem | None, bool]:
    """Returns what is wrong with the link itself, and whether the node it comes from is fit."""
    config = _config(findings, declared, name)
    if len(link) != 2:
        message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
        return _problem(
            "bad_linked_input", message, name, name, input_config=config, received_value=link
        ), True
    source, slot = link
    given = findings.nodes[findings.graph[source]["class_type"]].outputs[slot]
    if given != config[0]:
        wanted = config[0]
        problem = _problem(
            "return_type_mismatch",
            "Return type mismatch between linked nodes",
            f"{name}, received_type({given}) mismatch input_type({wanted})",
            name,
            input_config=config,
            received_type=given,
            linked_node=link,
        )
        return problem, True
    try:
        return None, _fit(findings, source)
    except Exception as error:  # as above: told as the problem of the node the link comes from
        findings.fit[source] = False
        problem = _problem(
            "exception_during_inner_validation",
            "Exception when validating inner node",
            str(error),
            name,
            input_config=config,
            exception_message=str(error),
            exception_type=type(error).__name__,
            traceback=traceback.format_tb(error.__traceback__),
            linked_node=link,
        )
        findings.problems[source] = (problem,)
        return None, False


def _check_literal(
    findings: _Findings, declared: NodeClass, name: str, inputs: dict[str, Any]
) -> PromptProblem | None:
    kind, options = config = _config(findings, declared, name)
    value = inputs[name]
    if isinstance(value, dict) and "__value__" in value:
        value = inputs[name] = value["__value__"]
    received = {"input_config": config, "received_value": value}
    if isinstance(kind, str) and kind in CASTS:
        try:
            value = inputs[name] = received["received_value"] = CASTS[kind](value)
        except (TypeError, ValueError, OverflowError) as error:
            message = f"Failed to convert an input value to a {kind} value"
            details = f"{name}, {value}, {error}"
            return _problem(
                "invalid_input_type", message, details, name, **received, exception_message=str(error)
            )
    if declared.check and declared.check[0] == name:
        return None  # the node's own check stands in for the general ones
    if "min" in options and value < options["min"]:
        message = f"Value {value} smaller than min of {options['min']}"
        return _problem("value_smaller_than_min", message, name, name, **received)
    if "max" in options and value > options["max"]:
        message = f"Value {value} bigger than max of {options['max']}"
        return _problem("value_bigger_than_max", message, name, name, **received)
    if isinstance(kind, list) and value not in kind:
        shown = str(kind) if len(kind) <= LISTED else f"(list of length {len(kind)})"
        received["input_config"] = config if len(kind) <= LISTED else None
        details = f"{name}: '{value}' not in {shown}"
        return _problem("value_not_in_list", "Value not in list", details, name, **received)
    return None
