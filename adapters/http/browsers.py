"""Sessions of browsers: their cookies last for weeks, so it is asked now and then whether the session still goes on.

What ends while this process runs it hears of at once (`Ended`); but that is forgotten when access tokens have expired.
"""

from collections import OrderedDict
from datetime import datetime, timedelta

from commands.streams import Streams
from domain.account import ACCOUNT, SESSION_OVER
from domain.ids import AccountId, SessionId
from domain.refusals import NotAuthenticated

LOOK_AGAIN = timedelta(minutes=1)
REMEMBERED = 10_000


class Browsers:
    def __init__(self) -> None:
        self._found: OrderedDict[SessionId, datetime] = OrderedDict()

    async def check(self, account: AccountId, session: SessionId, streams: Streams, now: datetime) -> None:
        """Raises NotAuthenticated, LogUnavailableError."""
        found = self._found.get(session)
        if found is not None and now - found < LOOK_AGAIN:
            return
        self._found.pop(session, None)
        state, _ = await streams.load(ACCOUNT, account)
        if session not in state.sessions:
            raise NotAuthenticated(SESSION_OVER)
        self._found[session] = now
        if len(self._found) > REMEMBERED:
            self._found.popitem(last=False)
