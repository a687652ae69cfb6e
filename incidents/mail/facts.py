"""What Bailey knows of a mail after reading it: plain frozen data, the same in every layer.

``incidents.mail.read_mail`` makes a ``MailFacts``; engines and detectors only ever look at this,
never at the bytes.  All text is decoded and cut to the limits of ``incidents.mail.limits``;
nothing is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from incidents.mail.json_text import parse_json, write_json


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox of a header.

    ``address`` is lower-cased with an A-label domain; "" if unreadable.
    """

    address: str
    name: str = ""
    raw: str = ""

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Hop:
    """One Received line, newest first.  ``received_at`` None: no readable date."""

    by: str = ""
    from_name: str = ""
    from_ip: str = ""
    helo: str = ""
    protocol: str = ""
    received_at: datetime | None = None
    raw: str = ""


@dataclass(frozen=True, slots=True)
class AuthResult:
    """One method (``spf``, ``dkim``, ``dmarc``, ``arc``) of an Authentication-Results header.

    Source: RFC 8601.  ``domain`` is the domain that the method speaks about, "" if not said.
    """

    authserv_id: str
    method: str
    result: str
    domain: str = ""
    detail: str = ""

    def as_json(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the mail.

    ``url``       as it would be opened, rewriters undone; ``seen`` as written in the mail.
    ``text``      what the reader sees.
    ``host``      the A-label host; ``domain`` its registered domain by the public suffix list,
                  "" for a bare IP.
    ``where``     one of ``html text attachment header form``.
    ``rewriter``  the service that had wrapped it, "" if none.
    """

    url: str
    host: str
    domain: str
    text: str = ""
    seen: str = ""
    where: str = "html"
    rewriter: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One leaf part that is not the shown text.

    ``kind``          the real type by content: ``pdf``, ``zip``, ``exe``, ``html``, …, ``unknown``
                      (closed list: ``incidents.mail.filetypes.KINDS``).
    ``claimed_type``  what the header says.
    ``members``       names in an archive, bounded.
    ``flags``         see ``incidents.mail.attachments.FLAGS``: ``encrypted macro nested too_big
                      bomb bidi_name double_extension type_mismatch`` and more.
    """

    name: str
    claimed_type: str
    kind: str
    size_bytes: int
    sha256: str
    is_inline: bool = False
    members: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFacts:
    """One mail.

    ``is_readable``  False: it could not be parsed; ``problems`` say why, raw bytes are kept.
    ``problems``     codes of crossed limits and defects (``incidents.mail.limits``).
    ``sender``       the one From address, or None where the header is missing or ambiguous
                     (several From headers or addresses, or ones that parsers read differently:
                     problem ``ambiguous_sender``).
    ``sent_at``      the claimed Date, None if unreadable.
    ``text``         the plain reading: from text/plain, else from HTML.
    ``html``         the raw HTML body or "".
    ``html_text``    what a reader of the HTML body sees, "" without HTML.
    ``hidden_text``  text of the HTML body that a reader does not see.
    ``fingerprint``  content fingerprint of the normalised mail, hex; "" where there is too little.
    ``shingles``     MinHash values of the text for near-duplicates; () under 20 shingles.
    ``judged``       what the judge in the reading process said (JSON, its own form); None: there
                     was none, or it could not be brought to an end.  Never stored.
    ``told``         what ``as_json`` says, written already by the process that read the mail; b"":
                     it is not at hand.
    """

    size_bytes: int
    raw_sha256: str
    is_readable: bool = True
    problems: tuple[str, ...] = ()
    internet_message_id: str = ""
    subject: str = ""
    sender: Address | None = None
    from_all: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    envelope_from: str = ""
    sent_at: datetime | None = None
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    list_id: str = ""
    hops: tuple[Hop, ...] = ()
    auth_results: tuple[AuthResult, ...] = ()
    trace: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    text: str = ""
    html: str = ""
    html_text: str = ""
    hidden_text: str = ""
    links: tuple[Link, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    fingerprint: str = ""
    shingles: tuple[int, ...] = ()
    has_calendar: bool = False
    language: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    judged: Any = None
    told: bytes = field(default=b"", compare=False, repr=False)

    def as_json(self) -> dict[str, Any]:
        """What is stored and shipped with an observation: facts, no content.

        Leaves out all text and all header values but the named ones: content stays in the
        evidence store behind a right and a reason.
        """
        plain: dict[str, Any] = parse_json(self.as_json_text())
        return plain

    def as_json_text(self) -> bytes:
        """``as_json`` as one line."""
        return self.told or write_json({name: getattr(self, name) for name in _TOLD})


_CONTENT = frozenset(
    {"text", "html", "html_text", "hidden_text", "headers", "trace", "judged", "told"}
)
_TOLD = tuple(name for name in MailFacts.__slots__ if name not in _CONTENT)
