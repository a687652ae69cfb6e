"""The whole mail as bytes, piece by piece, so that no server makes us hold more than we want."""

from __future__ import annotations

from api_bridge.connectors import IMAP, Fetched, Ref
from api_bridge.connectors.imap.locate import Locator
from api_bridge.connectors.imap.mapping import Found
from api_bridge.connectors.imap.session import Session
from api_bridge.errors import NotFound, Rejected, Temporary

MAIL_LIMIT_BYTES = 64 * 1024 * 1024
PIECE_BYTES = 1024 * 1024


def fetch_mail(locator: Locator, session: Session, ref: Ref) -> Fetched:
    """Raises ``NotFound`` if the copy is gone, ``Rejected`` if it is too big or cannot be had."""
    found = locator.last_seen(
        session, ref.item_id, locator.folders_lately(session)
    ) or locator.everywhere(session, ref.item_id)
    if not found:
        raise NotFound("The mail is not in the mailbox.", code="no_mail")
    return Fetched(ref=ref, raw=read_raw(session, found[0]), acquired=IMAP)


def read_raw(session: Session, found: Found) -> bytes:
    """All bytes of the copy.  Raises ``BridgeError``."""
    uid = found.spot.uid
    session.open(found.spot.folder)
    size = session.fetch([uid], "(UID RFC822.SIZE)").get(uid, {}).get(b"RFC822.SIZE")
    if not isinstance(size, int):
        raise NotFound("The mail went while it was fetched.", code="no_mail")
    if size > MAIL_LIMIT_BYTES:
        raise Rejected(f"The mail is larger than {MAIL_LIMIT_BYTES} bytes.", code="too_big")
    pieces: list[bytes] = []
    got = 0
    while True:
        piece = _piece(session, uid, got)
        pieces.append(piece)
        got += len(piece)
        if got > MAIL_LIMIT_BYTES:
            raise Rejected(f"The mail is larger than {MAIL_LIMIT_BYTES} bytes.", code="too_big")
        # The size is what the server says; the end is a piece that is not full.
        if len(piece) < PIECE_BYTES:
            break
    if got < size:
        raise Temporary(f"Only {got} of {size} bytes of the mail came.", code="cut_answer")
    return b"".join(pieces)


def _piece(session: Session, uid: int, start: int) -> bytes:
    fields = session.fetch([uid], f"(UID BODY.PEEK[]<{start}.{PIECE_BYTES}>)").get(uid)
    if fields is None:
        raise NotFound("The mail went while it was fetched.", code="no_mail")
    piece = fields.get(b"BODY[]<%d>" % start)
    if piece is None:
        return b""
    if not isinstance(piece, bytes) or len(piece) > PIECE_BYTES:
        raise Rejected("The server's answer is no piece of a mail.", code="bad_answer")
    return piece
