"""A host whose certificate is not accepted: it is there, and a person has something to do."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from api_bridge.errors import Temporary

UNTRUSTED = "bad_certificate"


def untrusted(url: str, error: BaseException) -> Temporary | None:
    """What to raise for ``error`` of an HTTP library; None where no certificate was refused."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        if isinstance(at, ssl.SSLCertVerificationError):
            return Temporary(
                f"The certificate of {urlsplit(url).hostname} is not accepted: {at.verify_message}."
                " If its authority is not a public one, the operator names that authority's file.",
                code=UNTRUSTED,
            )
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return None
