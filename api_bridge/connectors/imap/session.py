"""One logged-in connection to one mailbox: commands in, plain values or ``BridgeError`` out."""

from __future__ import annotations

import imaplib
import ssl
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from api_bridge.connectors.imap import answers
from api_bridge.connectors.imap.dial import dial
from api_bridge.connectors.imap.options import Options
from api_bridge.connectors.imap.wire import Wire
from api_bridge.errors import (
    AccessDenied,
    AuthExpired,
    BridgeError,
    NotFound,
    RateLimited,
    Rejected,
    Temporary,
    Unexpected,
)
from tenants.failpoints import failpoint

# A lost answer to one of these leaves open whether it happened.
WRITING = frozenset({"MOVE", "COPY", "STORE", "EXPUNGE", "CREATE"})
GONE = frozenset({"NONEXISTENT", "TRYCREATE"})
LATER = frozenset({"UNAVAILABLE", "INUSE", "SERVERBUG", "CONTACTADMIN", "CORRUPTION"})
REFUSED = frozenset({"AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", ""})
BUSY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A selected folder.  ``modseq`` 0: the server keeps none for it."""

    validity: int
    uid_next: int
    modseq: int


class Session:
    """Logged in from the beginning.  Not for several threads at once.

    ``is_dead``: of no more use.  ``used_at``: monotonic seconds.
    """

    def __init__(
        self,
        options: Options,
        mailbox: str,
        *,
        allowed_hosts: Collection[str],
        context: ssl.SSLContext,
        token: str = "",
    ) -> None:
        self.mailbox = mailbox
        self.is_dead = False
        self.used_at = time.monotonic()
        self._selected: tuple[str, bool] | None = None
        self._wire = _connected(options, allowed_hosts, context)
        try:
            _log_in(self._wire, options, mailbox, token)
            self.capabilities = _capabilities(self._wire)
        except BridgeError:
            self._wire.shutdown()
            raise

    def can(self, capability: str) -> bool:
        return capability in self.capabilities

    @property
    def has_modseq(self) -> bool:
        return self.can("CONDSTORE") or self.can("QRESYNC")

    def close(self) -> None:
        self.is_dead = True
        self._wire.shutdown()

    def is_alive(self) -> bool:
        """Asks the server."""
        try:
            self.run("NOOP")
        except BridgeError:
            return False
        return True

    def run(self, name: str, *arguments: str | bytes) -> list[bytes]:
        """The text of the tagged answer.  Raises ``BridgeError``."""
        typ, data = _asked(self, name, *arguments)
        if typ != "OK":
            raise refusal(name, data)
        return data

    def said(self, kind: str) -> list[Any]:
        """The untagged answers of that kind to the last command."""
        return list(self._wire.untagged_responses.get(kind, []))

    def open(self, folder: str, *, writing: bool = False) -> Opened:
        """SELECT or EXAMINE.  Raises ``NotFound`` for a folder that is not there."""
        name = "SELECT" if writing else "EXAMINE"
        more = ("(CONDSTORE)",) if self.has_modseq else ()
        self._selected = None
        typ, data = _asked(self, name, answers.quoted_folder(folder), *more)
        if typ != "OK":
            error = refusal(name, data)
            raise NotFound(str(error), code="no_folder") if not error.code else error
        if writing and self.said("READ-ONLY"):
            raise AccessDenied("The folder can only be read.", code="READ-ONLY")
        self._selected = (folder, writing)
        return Opened(
            validity=_number(self.said("UIDVALIDITY")),
            uid_next=_number(self.said("UIDNEXT")),
            modseq=0 if self.said("NOMODSEQ") else _number(self.said("HIGHESTMODSEQ")),
        )

    def step_out(self) -> None:
        """No folder is open any more, or the open one is up to date: what a server says of a folder
        that is open here stands still (RFC 3501, 6.3.10).
        """
        if self._selected is None:
            return
        self.run("UNSELECT" if self.can("UNSELECT") else "NOOP")
        self._selected = None

    def search(self, criteria: str | bytes) -> list[int]:
        """UIDs in the opened folder, ascending."""
        self.run("UID", "SEARCH", criteria)
        return answers.numbers(self.said("SEARCH"))

    def fetch(self, uids: Sequence[int], what: str) -> dict[int, dict[bytes, Any]]:
        """UID → fields; what the server did not answer, or not readably, is not in it."""
        if not uids:
            return {}
        self.run("UID", "FETCH", ",".join(map(str, uids)), what)
        found = answers.fetched(self.said("FETCH"))
        return {uid: found[uid] for uid in uids if uid in found}

    def write(self, name: str, uid: int, *arguments: str) -> None:
        """One mail of the folder that was opened for writing."""
        assert self._selected is not None
        assert self._selected[1]
        self.run("UID", name, str(uid), *arguments)

    def idle(self) -> None:
        """From now on the server speaks by itself; ``wait`` listens.  No other command fits."""
        try:
            self._wire.begin()
            tag = self._wire._new_tag()
            self._wire.send(tag + b" IDLE\r\n")
            while self._wire._get_response() is not None:
                if self._wire.tagged_commands[tag]:
                    raise Rejected("The server refused IDLE.", code="no_idle")
        except (OSError, imaplib.IMAP4.error) as error:
            raise self._lost("IDLE", error) from error

    def wait(self, seconds: float) -> bytes:
        """A line of the idling server, b"" if none came.  Raises ``Temporary``."""
        try:
            return self._wire.wait(seconds)
        except (OSError, imaplib.IMAP4.error) as error:
            raise self._lost("IDLE", error) from error

    def fileno(self) -> int:
        return self._wire.sock.fileno()

    def _lost(self, name: str, error: Exception) -> BridgeError:
        """The connection is of no more use, whatever it was."""
        self.close()
        may_have_happened = name in WRITING
        if self._wire.too_much:
            return Unexpected(
                self._wire.too_much, code="too_much", may_have_happened=may_have_happened
            )
        return Temporary(
            f"The answer to {name} was lost: {type(error).__name__}.",
            may_have_happened=may_have_happened,
        )


def _asked(session: Session, name: str, *arguments: str | bytes) -> tuple[str, list[bytes]]:
    """Raises ``Rejected`` for BAD, ``Temporary`` or ``Unexpected`` for a lost connection."""
    wire = session._wire
    does = str(arguments[0]) if name == "UID" else name
    session.used_at = time.monotonic()
    if does in WRITING:
        failpoint("before_call")
    try:
        if name in ("SELECT", "EXAMINE"):
            answer = wire.choose(name, *(str(each) for each in arguments))
        else:
            answer = wire.command(name, *arguments)
    except imaplib.IMAP4.abort as error:
        raise session._lost(does, error) from error
    except OSError as error:
        raise session._lost(does, error) from error
    except imaplib.IMAP4.error as error:
        raise Rejected(f"The server does not accept {does}.", code="bad_command") from error
    if does in WRITING:
        failpoint("after_call")
    return answer


def refusal(name: str, data: Iterable[Any]) -> BridgeError:
    """What NO means, by its response code (RFC 5530)."""
    code = answers.code_of(data)
    said = f"The server refused {name} {code}".rstrip() + "."
    if code in GONE:
        return NotFound(said, code=code)
    if code == "LIMIT":
        return RateLimited(said, retry_after_s=BUSY_S, code=code)
    if code in LATER:
        return Temporary(said, retry_after_s=BUSY_S, code=code)
    if code == "NOPERM":
        return AccessDenied(said, code=code)
    return Rejected(said, code=code)


def _connected(options: Options, allowed_hosts: Collection[str], context: ssl.SSLContext) -> Wire:
    """A protected connection, not logged in yet."""
    wire = None
    try:
        wire = Wire(
            options.host,
            options.port,
            connect=lambda: dial(options.host, options.port, allowed_hosts),
            context=context,
            is_implicit=options.security == "tls",
        )
        if options.security == "starttls":
            if wire.state != "NONAUTH" or "STARTTLS" not in wire.capabilities:
                raise Rejected("The server offers no STARTTLS.", code="no_tls")
            wire.secure()
    except ssl.SSLCertVerificationError as error:
        raise Rejected(
            f"The certificate of {options.host} is not accepted: {error.verify_message}. If its "
            "authority is not a public one, enter that authority's certificate.",
            code="bad_certificate",
        ) from error
    except (OSError, imaplib.IMAP4.error) as error:
        if wire is not None:
            wire.shutdown()
        raise Temporary(
            f"No IMAP server answers at {options.server}: {type(error).__name__}.",
            code="no_connection",
        ) from error
    except BridgeError:
        if wire is not None:
            wire.shutdown()
        raise
    return wire


def _log_in(wire: Wire, options: Options, mailbox: str, token: str) -> None:
    """Raises ``AuthExpired`` where the login was refused; whom that concerns the pool decides."""
    if wire.state != "NONAUTH":
        raise Unexpected("The server is logged in before anybody was.", code="preauth")
    try:
        typ, data = _authenticated(wire, options, mailbox, token)
    except imaplib.IMAP4.abort as error:
        raise Temporary(f"The login was not answered: {type(error).__name__}.") from error
    except OSError as error:
        raise Temporary(f"The login was not answered: {type(error).__name__}.") from error
    except imaplib.IMAP4.error as error:
        typ, data = "NO", [str(error).partition("[")[2].encode("ascii", "replace")]
        data = [b"[" + data[0]] if data[0] else [b""]
    if typ == "OK":
        return
    code = answers.code_of(data)
    if code not in REFUSED:
        raise refusal("the login", data)
    raise AuthExpired(f"The server refused the login {code}".rstrip() + ".", code="login_refused")


def _authenticated(wire: Wire, options: Options, mailbox: str, token: str) -> tuple[str, Any]:
    wire.begin()
    if options.auth == "oauth":
        return wire.authenticate(*_oauth(wire, mailbox, token))
    login, password, acts_as = mailbox, options.passwords.get(mailbox, ""), ""
    if options.auth == "master":
        password = options.secret
        if options.master_separator == "sasl":
            login, acts_as = options.login, mailbox
        else:
            login = f"{mailbox}{options.master_separator}{options.login}"
    if "AUTH=PLAIN" in wire.capabilities:
        told = f"{acts_as}\0{login}\0{password}".encode()
        return wire.authenticate("PLAIN", lambda _: told)
    is_plain = f"{login}{password}".isascii() and f"{login}{password}".isprintable()
    if acts_as or "LOGINDISABLED" in wire.capabilities or not is_plain:
        raise Rejected("The server offers no login that fits (AUTH=PLAIN).", code="no_login")
    typ, data = wire.command("LOGIN", answers.quoted(login), answers.quoted(password))
    wire.state = "AUTH" if typ == "OK" else wire.state
    return typ, data


def _oauth(wire: Wire, mailbox: str, token: str) -> tuple[str, Any]:
    """RFC 7628, or Google's and Microsoft's older form of it.  An error comes as a challenge; the
    answer to it ends the exchange.
    """
    if "AUTH=OAUTHBEARER" in wire.capabilities:
        name = mailbox.replace("=", "=3D").replace(",", "=2C")
        told, mechanism = f"n,a={name},\1auth=Bearer {token}\1\1", "OAUTHBEARER"
    elif "AUTH=XOAUTH2" in wire.capabilities:
        told, mechanism = f"user={mailbox}\1auth=Bearer {token}\1\1", "XOAUTH2"
    else:
        raise Rejected("The server offers no OAuth (AUTH=OAUTHBEARER, XOAUTH2).", code="no_login")
    left = [told.encode()]
    return mechanism, lambda _: left.pop() if left else b"\1"


def _capabilities(wire: Wire) -> frozenset[str]:
    try:
        wire.command("CAPABILITY")
        said = wire.untagged_responses.get("CAPABILITY", [])
    except (OSError, imaplib.IMAP4.error) as error:
        raise Temporary(f"The login was not answered: {type(error).__name__}.") from error
    words = b" ".join(line for line in said if isinstance(line, bytes))
    return frozenset(words.decode("ascii", "replace").upper().split())


def _number(lines: Sequence[object]) -> int:
    """Of the last line that is one; 0 without."""
    for line in reversed(lines):
        if isinstance(line, bytes) and line.isdigit() and len(line) < 20:
            return int(line)
    return 0
