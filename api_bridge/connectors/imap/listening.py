"""A connection on which the server speaks by itself: IDLE (RFC 2177), with NOTIFY (RFC 5465) for
all folders of the mailbox, else for its inbox.
"""

from __future__ import annotations

import re

from api_bridge.connectors import Heard
from api_bridge.connectors.imap.session import Session
from api_bridge.errors import BridgeError, Rejected, Temporary

NEWS = re.compile(rb"\* (?:\d+ (?:EXISTS|EXPUNGE|FETCH)|VANISHED|STATUS)\b", re.I)
EVENTS = "MessageNew MessageExpunge FlagChange"
WAIT_S = 0.05
MOST_LINES = 1_000


class ImapListening:
    """``hears_all``: nothing happens in the mailbox unheard."""

    def __init__(self, session: Session) -> None:
        """Raises ``Rejected`` for a server without IDLE."""
        self._session = session
        self.hears_all = False
        if not session.can("IDLE"):
            raise Rejected("The server has no IDLE.", code="no_idle")
        session.open("INBOX")
        if session.can("NOTIFY"):
            self.hears_all = self._notify()
        session.idle()

    def _notify(self) -> bool:
        try:
            self._session.run("NOTIFY", "SET", f"(selected ({EVENTS})) (personal ({EVENTS}))")
        except BridgeError:
            if self._session.is_dead:
                raise
            return False
        return True

    def fileno(self) -> int:
        return self._session.fileno()

    def hear(self) -> Heard:
        """All that was said by now.  Raises ``Temporary`` if the connection is over."""
        heard = Heard.NOTHING
        for _ in range(MOST_LINES):
            line = self._session.wait(WAIT_S)
            if not line:
                return heard
            if line[:5].upper() == b"* BYE":
                self.close()
                raise Temporary("The server ended the connection.")
            if NEWS.match(line):
                heard = Heard.SOMETHING
        return heard

    def close(self) -> None:
        self._session.close()
