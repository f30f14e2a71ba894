"""Wishes about runs, and what executors report of them."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from commands.admitting import Admitted, admitted
from commands.gate import admit
from commands.inputs import with_inputs
from commands.lora_references import with_loras
from commands.needs import Command, Needs
from commands.pools import chosen
from commands.streams import Accepted, Change, Context, Source
from domain import attempt, environments, run, workflow
from domain.ids import AccountId, Digest, Position, RunId, WorkflowId
from domain.limits import Quota
from domain.outcome import Course, Failure, NodeTime, Output
from domain.rendition import Rendition
from domain.run import RUN, Run, RunEvent, RunSubmitted
from domain.workflow import WORKFLOW, Content, Requirements, Workflow
from workflows.graph import names_loras
from workflows.inputs import LOADERS


class SubmitRun(Command, frozen=True, kw_only=True):
    """None for `version` means the newest, or the one that `environment` stands for; for `pool` the account's own."""

    by: AccountId
    workflow: WorkflowId
    version: int | None = None
    environment: str | None = None
    priority: int = 5
    pool: str | None = None
    rendition: Rendition | None = None


class CancelRun(Command, frozen=True, kw_only=True):
    by: AccountId
    run: RunId


class DeleteRun(Command, frozen=True, kw_only=True):
    by: AccountId
    run: RunId


class ReportRun(Command, frozen=True, kw_only=True):
    """What an executor says of the attempt it holds, in order: each fact is one decision."""

    run: RunId
    executor: str
    facts: tuple[Callable[[Run], Sequence[RunEvent]], ...]


class LoseAttempt(Command, frozen=True, kw_only=True):
    run: RunId
    epoch: int
    failure: Failure


class Submitted(Struct, frozen=True):
    """`left`: what is left of its owner's limits."""

    id: RunId
    position: Position
    left: tuple[Quota, ...] = ()


async def submit_run(command: SubmitRun, context: Context, needs: Needs) -> Submitted:
    """Queue a run of one's own or a published workflow. Raises NotFound, Invalid, LimitReached, KeyReused."""
    if (known := await answered_run(context, needs)) is not None:
        return known
    pool = await chosen(command.pool, command.by, needs)
    ready: dict[Digest, Files] = {}
    passed: dict[Digest, Requirements] = {}

    def decide(state: Run, source: Workflow) -> list[RunEvent]:
        wanted = command.version
        if command.environment is not None:
            workflow.visible(source, by=command.by)
            wanted = environments.pointed_at(source, name=command.environment)
        number, version = workflow.runnable(source, by=command.by, number=wanted)
        graph = workflow.executed(number, version)
        files = Files(graph)
        loads = LOADERS.keys() & set(version.requirements.node_classes)
        if loads or names_loras(version.requirements):
            if graph.digest not in ready:
                raise _FilesNeeded(graph, version.requirements)
            files = ready[graph.digest]
        if files.graph.digest not in passed:
            raise _NotAdmitted(files.graph)
        submitted = RunSubmitted(
            owner=command.by,
            workflow=command.workflow,
            workflow_version=number,
            graph=files.graph,
            requirements=passed[files.graph.digest],
            priority=command.priority,
            timeout_s=needs.limits.run_timeout_s,
            inputs=files.inputs,
            pool=pool,
            rendition=command.rendition,
        )
        return run.submit(state, submitted=submitted)

    id = RunId(needs.new_id())
    change = Change(RUN, id, decide, given=(Source(WORKFLOW, command.workflow),), new=True)

    async def append() -> Accepted:
        while True:
            try:
                return await needs.streams.transact(context, change)
            except (
                _FilesNeeded
            ) as needed:  # few graphs have files of one's own: the others are not looked into
                ready[needed.graph.digest] = await with_files(
                    needed.graph, needed.requirements, command.by, needs
                )
            except _NotAdmitted as asked:
                passed[asked.graph.digest] = await admit(asked.graph, command.by, pool, needs)

    granted = await admitted([id], command.by, pool, context, needs, append)
    return await submitted_run(id, granted, needs)


async def answered_run(context: Context, needs: Needs) -> Submitted | None:
    """What the same request was answered before, whatever the gate, models and pools are now. Raises KeyReused."""
    answered = await needs.streams.answered(context)
    return None if answered is None else await submitted_run(RunId(needs.new_id()), Admitted(answered), needs)


async def submitted_run(id: RunId, granted: Admitted, needs: Needs) -> Submitted:
    """What a run, or the repeat of one, is answered."""
    if granted.accepted.repeated:
        recorded = await needs.streams.log.at(granted.accepted.first)
        assert recorded is not None
        id = RunId(recorded.stream)
    return Submitted(id, granted.accepted.position, granted.left)


class Files(Struct, frozen=True):
    """A graph with an account's own pictures and LoRAs in it."""

    graph: Content
    inputs: tuple[Digest, ...] = ()


class _FilesNeeded(Exception):
    """Which files of one's own the graph loads has to be known before it can be submitted."""

    def __init__(self, graph: Content, requirements: Requirements) -> None:
        super().__init__(graph.digest)
        self.graph = graph
        self.requirements = requirements


async def with_files(graph: Content, requirements: Requirements, by: AccountId, needs: Needs) -> Files:
    """Raises Invalid."""
    found, inputs = await with_inputs(graph, by, needs)
    if names_loras(requirements):
        found = await with_loras(found, by, needs)
    return Files(found, inputs)


class _NotAdmitted(Exception):
    """The graph has to be looked at before it can be submitted."""

    def __init__(self, graph: Content) -> None:
        super().__init__(graph.digest)
        self.graph = graph


async def cancel_run(command: CancelRun, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Conflict when it is over."""
    return await needs.streams.transact(
        context, Change(RUN, command.run, lambda state: run.cancel(state, by=command.by))
    )


async def delete_run(command: DeleteRun, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound, Conflict while it is not over."""
    return await needs.streams.transact(
        context, Change(RUN, command.run, lambda state: run.delete(state, by=command.by))
    )


async def report_run(command: ReportRun, context: Context, needs: Needs) -> Accepted:
    """All facts or none. Raises Conflict when the attempt no longer holds the run."""

    def decide(state: Run) -> list[RunEvent]:
        attempt.held_by(state, executor=command.executor)
        events: list[RunEvent] = []
        for fact in command.facts:
            decided = fact(state)
            state = RUN.fold(state, decided)
            events += decided
        return events

    return await needs.streams.transact(context, Change(RUN, command.run, decide))


async def lose_attempt(command: LoseAttempt, context: Context, needs: Needs) -> Accepted:
    """Give up on an attempt; the domain says whether another follows. Raises Conflict when it is not held."""
    return await needs.streams.transact(
        context,
        Change(
            RUN,
            command.run,
            lambda state: attempt.lose_attempt(
                state,
                epoch=command.epoch,
                failure=command.failure,
                now=needs.now(),
                retries=needs.limits.retries,
            ),
        ),
    )


def started(epoch: int) -> Callable[[Run], Sequence[RunEvent]]:
    return lambda state: attempt.start(state, epoch=epoch)


def stored(epoch: int, output: Output) -> Callable[[Run], Sequence[RunEvent]]:
    return lambda state: attempt.store_output(state, epoch=epoch, output=output)


def succeeded(
    epoch: int, execution_s: float, nodes: tuple[NodeTime, ...] = (), course: Course | None = None
) -> Callable[[Run], Sequence[RunEvent]]:
    return lambda state: attempt.succeed(
        state, epoch=epoch, execution_s=execution_s, nodes=nodes, course=course
    )


def lost(
    epoch: int,
    failure: Failure,
    needs: Needs,
    execution_s: float = 0.0,
    nodes: tuple[NodeTime, ...] = (),
    course: Course | None = None,
) -> Callable[[Run], Sequence[RunEvent]]:
    return lambda state: attempt.lose_attempt(
        state,
        epoch=epoch,
        failure=failure,
        now=needs.now(),
        retries=needs.limits.retries,
        execution_s=execution_s,
        nodes=nodes,
        course=course,
    )


def stopped(epoch: int, course: Course) -> Callable[[Run], Sequence[RunEvent]]:
    return lambda state: attempt.stopped(state, epoch=epoch, course=course)


def handed_back(epoch: int, reason: str, needs: Needs) -> Callable[[Run], Sequence[RunEvent]]:
    return lambda state: attempt.hand_back(state, epoch=epoch, reason=reason, now=needs.now())
