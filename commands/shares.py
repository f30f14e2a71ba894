"""Share links: made, opened by whoever has one, revoked.

A link's token is nowhere: the id of its stream is made of it with the server's secret, and the token cannot be made
of the id. So nobody who reads the log, the tables or a backup can open a link.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from commands.attempts import attempt
from commands.needs import Command, Needs
from commands.ports import RequestKey
from commands.stored_outputs import stored_output
from commands.streams import Accepted, Change, Context, Source
from domain import run as runs
from domain import share, shared_output
from domain import workflow as workflows
from domain.account import ACCOUNT
from domain.ids import AccountId, Position, RunId, StreamId, WorkflowId, output_id
from domain.outcome import Output
from domain.refusals import FieldError, Invalid, NotFound
from domain.run import RUN, Run
from domain.share import NO_SHARE, SHARE, Kind, Share, ShareMade
from domain.shared_output import SHARED_OUTPUT
from domain.workflow import WORKFLOW, Workflow

SHARES = 100  # made by one account, within the window of attempts
MAX_TOKEN = 100


class ShareThing(Command, frozen=True, kw_only=True):
    """`subject`: a workflow, or a run; then `node` and `index` say which output. `expires_in`: seconds."""

    by: AccountId
    kind: Kind
    subject: UUID
    node: str | None = None
    index: int = 0
    expires_in: int | None = None


class RevokeShare(Command, frozen=True, kw_only=True):
    by: AccountId
    share: StreamId


class Shared(Struct, frozen=True):
    id: StreamId
    token: str
    expires_at: datetime | None
    position: Position


class OpenedShare(Struct, frozen=True):
    """`workflow`, or `output` of a run."""

    share: Share
    author: str
    subject: UUID
    workflow: Workflow | None = None
    output: Output | None = None


async def share_thing(command: ShareThing, context: Context, needs: Needs) -> Shared:
    """Asked again under the same key, the same link is answered. Raises NotFound, Invalid, TooMany."""
    token = needs.secrets.random_token() if context.key is None else _token(context.key, needs)
    id = share_id(token, needs)
    if (earlier := await needs.streams.answered(context)) is None:
        earlier = await _made(command, id, context, needs)
    made, _ = await needs.streams.load(SHARE, id)
    return Shared(id, token, made.expires_at, earlier.position)


async def _made(command: ShareThing, id: StreamId, context: Context, needs: Needs) -> Accepted:
    by, expires_at = command.by, share.expiry(command.expires_in, needs.now())
    await attempt("shares", str(by), "", needs, most=SHARES)
    about: dict[str, Any] = {
        "owner": by,
        "kind": command.kind,
        "subject": command.subject,
        "expires_at": expires_at,
    }
    if command.kind is Kind.WORKFLOW:

        def show_workflow(state: Share, source: Workflow) -> list[share.ShareEvent]:
            workflows.owned(source, by=by)
            return share.make(state, made=ShareMade(**about))

        given = (Source(WORKFLOW, WorkflowId(command.subject)),)
        return await needs.streams.transact(context, Change(SHARE, id, show_workflow, given=given))

    run = RunId(command.subject)
    state, _ = await needs.streams.load(RUN, run)
    runs.owned(state, by=by)
    if command.node is None:
        raise Invalid("Which output is it?", FieldError("node", "Name the node that has made it."))
    output = await stored_output(run, command.node, command.index, needs)

    def show_output(state: Share, source: Run) -> list[share.ShareEvent]:
        runs.owned(source, by=by)
        return share.make(state, made=ShareMade(**about, output=output))

    return await needs.streams.transact(context, Change(SHARE, id, show_output, given=(Source(RUN, run),)))


async def revoke_share(command: RevokeShare, context: Context, needs: Needs) -> Accepted:
    """Raises NotFound."""
    change = Change(SHARE, command.share, lambda state: share.revoke(state, by=command.by))
    return await needs.streams.transact(context, change)


async def open_share(token: str, needs: Needs) -> OpenedShare:
    """What somebody is shown who has the link. Raises NotFound."""
    if not 1 <= len(token) <= MAX_TOKEN or not token.isascii():
        raise NotFound(NO_SHARE)
    state, _ = await needs.streams.load(SHARE, share_id(token, needs))
    found = share.opened(state, now=needs.now())
    assert found.owner is not None
    assert found.subject is not None
    owner, _ = await needs.streams.load(ACCOUNT, found.owner)
    known = await needs.accounts.by_id(found.owner)
    if owner.erased or owner.suspended is not None or known is None:
        raise NotFound(NO_SHARE)
    if found.kind is Kind.WORKFLOW:
        workflow, _ = await needs.streams.load(WORKFLOW, WorkflowId(found.subject))
        try:
            workflows.owned(workflow, by=found.owner)
        except NotFound as error:
            raise NotFound(NO_SHARE) from error
        if workflow.hidden:
            raise NotFound(NO_SHARE)
        return OpenedShare(found, known.username, found.subject, workflow=workflow)
    run, _ = await needs.streams.load(RUN, RunId(found.subject))
    if found.output is None or not shared_output.there(found.output, run):
        raise NotFound(NO_SHARE)
    id = output_id(RunId(found.subject), found.output.node, found.output.index)
    if (await needs.streams.load(SHARED_OUTPUT, id))[0].hidden:
        raise NotFound(NO_SHARE)
    return OpenedShare(found, known.username, found.subject, output=found.output)


def share_id(token: str, needs: Needs) -> StreamId:
    return needs.secrets.name_id("share", token)


def _token(key: RequestKey, needs: Needs) -> str:
    """The same for the same request, and nobody's guess: it is made with the server's secret."""
    return needs.secrets.hash_token(f"share {key.actor} {key.key} {key.request_hash.hex()}").hex()
