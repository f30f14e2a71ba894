"""What ComfyUI finds wrong with a graph before it queues it, in its words and shapes.

Source: what a real one answered; ComfyUI execution.py, validate_prompt.
"""

from collections.abc import Collection, Generator, Mapping
from typing import Any, TypeAlias

from msgspec import Struct, field

from workflows.protocol.declared import Classes, DeclaredClass, DeclaredInput, declared, is_output
from workflows.protocol.prompt import GraphJson, NodeProblems, PromptProblem, PromptRefused

LISTED = 20  # longer lists of choices are not sent back
CASTS: dict[str, type] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
ANYTHING = "*"

Wrong: TypeAlias = Mapping[tuple[str, str], str]
"""What the nodes' own checks say, by node and input."""


class Valid(Struct, frozen=True):
    """`outputs` will be run; output nodes that depend on a node in `node_errors` are left out."""

    outputs: tuple[str, ...]
    node_errors: dict[str, NodeProblems]


_Step: TypeAlias = Generator[str, bool, bool]
"""Looks at one node; asks whether another one is fit; ends with whether this one is."""


class _Findings(Struct):
    """Per node: None while it is looked at, else whether it is fit to run and what is wrong with it."""

    graph: GraphJson
    classes: Classes
    wrong: Wrong
    read: dict[str, DeclaredClass] = field(default_factory=dict)
    fit: dict[str, bool | None] = field(default_factory=dict)
    problems: dict[str, tuple[PromptProblem, ...]] = field(default_factory=dict)

    def declared(self, node: str) -> DeclaredClass:
        name = self.graph[node]["class_type"]
        if name not in self.read:
            self.read[name] = declared(name, self.classes[name])
        return self.read[name]


def validate(
    graph: GraphJson, classes: Classes, targets: Collection[str] | None = None, wrong: Wrong | None = None
) -> Valid | PromptRefused:
    """Check a graph, casting its literals in place.

    `classes`: those that its owner may use, with what they offer this owner: that is what errors name. `targets`: run
    only these outputs. `wrong`: what the nodes' own checks say, as these look at files.
    """
    found = _outputs(graph, classes, targets)
    if isinstance(found, PromptRefused):
        return found
    findings = _Findings(graph, classes, wrong or {})
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


def no_prompt() -> PromptRefused:
    return _refused("no_prompt", "No prompt provided", "No prompt provided")


def _refused(
    type: str, message: str, details: str = "", node_errors: dict[str, NodeProblems] | None = None
) -> PromptRefused:
    return PromptRefused(
        error=PromptProblem(type=type, message=message, details=details), node_errors=node_errors or {}
    )


def _outputs(
    graph: GraphJson, classes: Classes, targets: Collection[str] | None
) -> list[str] | PromptRefused:
    outputs = []
    for node, told in graph.items():
        where = f"Node ID '#{node}'"
        if not isinstance(told, dict) or "class_type" not in told:
            message = "Cannot execute because a node is missing the class_type property."
            return _refused("invalid_prompt", message, where)
        name = told["class_type"]
        if not isinstance(name, str) or name not in classes:
            return _refused("invalid_prompt", f"Cannot execute because node {name} does not exist.", where)
        if is_output(classes[name]) and (targets is None or node in targets):
            outputs.append(node)
    return outputs or _refused("prompt_no_outputs", "Prompt has no outputs")


def _output_fit(findings: _Findings, output: str) -> bool:
    try:
        return _walked(findings, output)
    except Exception as error:  # a broken graph breaks in many ways; all are told as the node's problem
        findings.fit[output] = False
        message = "Exception when validating node"
        told = {"exception_type": type(error).__name__, "traceback": []}
        findings.problems[output] = (
            PromptProblem(
                type="exception_during_validation", message=message, details=str(error), extra_info=told
            ),
        )
        return False


def _walked(findings: _Findings, output: str) -> bool:
    """Whether it is fit, with all that it comes from: however long the way, it is not one call in another."""
    steps: list[_Step] = [_looked_at(findings, output)]
    answer: bool | None = None
    trouble: Exception | None = None
    while True:
        try:
            # a generator begins by being sent None, whatever its type says
            asked = steps[-1].send(answer) if trouble is None else steps[-1].throw(trouble)  # type: ignore[arg-type]
        except StopIteration as done:
            answer, trouble = bool(done.value), None
        except Exception as error:  # whoever asked for this node tells it, or breaks as well
            answer, trouble = None, error
        else:
            steps.append(_looked_at(findings, asked))
            answer, trouble = None, None
            continue
        steps.pop()
        if not steps:
            if trouble is not None:
                raise trouble
            return answer is True


def _looked_at(findings: _Findings, node: str) -> _Step:
    if node in findings.fit:
        return findings.fit[node] is True  # a node met while it is looked at lies on a cycle
    inputs = findings.graph[node]["inputs"]
    of = findings.declared(node)
    findings.fit[node] = None
    problems: list[PromptProblem] = []
    sound = True
    for each in of.inputs:
        problem = None
        if each.name not in inputs:
            if each.required:
                problem = _problem("required_input_missing", "Required input is missing", each.name, each)
        elif isinstance(inputs[each.name], list):
            problem = _link_problem(findings, of, each, inputs[each.name])
            if problem is None:
                sound = (yield from _source_fit(findings, each, inputs[each.name])) and sound
        else:
            problem = _literal_problem(each, inputs)
        problems += [problem] if problem else []
    for each in of.inputs:
        reason = findings.wrong.get((node, each.name))
        if reason is not None and each.name in inputs:
            message = "Custom validation failed for node"
            problems.append(_problem("custom_validation_failed", message, f"{each.name} - {reason}", each))
    findings.problems[node] = tuple(problems)
    findings.fit[node] = sound and not problems
    return findings.fit[node] is True


def _problem(type: str, message: str, details: str, about: DeclaredInput, **more: Any) -> PromptProblem:
    extra = {"input_name": about.name} | more
    return PromptProblem(type=type, message=message, details=details, extra_info=extra)


def _link_problem(
    findings: _Findings, of: DeclaredClass, about: DeclaredInput, link: list[Any]
) -> PromptProblem | None:
    """What is wrong with a link itself."""
    name, config = about.name, about.config
    if len(link) != 2:
        message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
        return _problem("bad_linked_input", message, name, about, input_config=config, received_value=link)
    source, slot = link
    given = findings.declared(source).outputs[slot]
    if of.links_checked or _takes(about.kind, given):
        return None
    return _problem(
        "return_type_mismatch",
        "Return type mismatch between linked nodes",
        f"{name}, received_type({given}) mismatch input_type({about.kind})",
        about,
        input_config=config,
        received_type=given,
        linked_node=link,
    )


def _takes(wanted: Any, given: Any) -> bool:
    """Types are names, or several names with commas; what offers choices takes the same choices."""
    if wanted == given or ANYTHING in (wanted, given):
        return True
    if not isinstance(wanted, str) or not isinstance(given, str):
        return False
    return not {each.strip() for each in wanted.split(",")}.isdisjoint(
        each.strip() for each in given.split(",")
    )


def _source_fit(findings: _Findings, about: DeclaredInput, link: list[Any]) -> _Step:
    """Whether the node a link comes from is fit; what breaks there is told as that node's problem."""
    try:
        return (yield link[0])
    except Exception as error:  # as above
        problem = _problem(
            "exception_during_inner_validation",
            "Exception when validating inner node",
            str(error),
            about,
            input_config=about.config,
            exception_message=str(error),
            exception_type=type(error).__name__,
            traceback=[],
            linked_node=link,
        )
        findings.fit[link[0]] = False
        findings.problems[link[0]] = (problem,)
        return False


def _literal_problem(about: DeclaredInput, inputs: dict[str, Any]) -> PromptProblem | None:
    kind, options, name = about.kind, about.options, about.name
    value = inputs[name]
    if isinstance(value, dict) and "__value__" in value:
        value = inputs[name] = value["__value__"]
    received = {"input_config": about.config, "received_value": value}
    if isinstance(kind, str) and kind in CASTS:
        try:
            value = inputs[name] = received["received_value"] = CASTS[kind](value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            message = f"Failed to convert an input value to a {kind} value"
            details, received["exception_message"] = f"{name}, {value}, {error}", str(error)
            return _problem("invalid_input_type", message, details, about, **received)
    if about.checked:
        return None  # the class's own check stands in for the general ones
    if "min" in options and value < options["min"]:
        message = f"Value {value} smaller than min of {options['min']}"
        return _problem("value_smaller_than_min", message, name, about, **received)
    if "max" in options and value > options["max"]:
        message = f"Value {value} bigger than max of {options['max']}"
        return _problem("value_bigger_than_max", message, name, about, **received)
    if isinstance(kind, list) and value not in kind:
        shown = str(kind) if len(kind) <= LISTED else f"(list of length {len(kind)})"
        received["input_config"] = about.config if len(kind) <= LISTED else None
        return _problem(
            "value_not_in_list", "Value not in list", f"{name}: '{value}' not in {shown}", about, **received
        )
    return None
