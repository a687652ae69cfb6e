"""What can go wrong with a mailbox provider: one family, one question: try again or not?

    BridgeError
    ├── Temporary       no answer, 5xx, cut answer: try again after ``retry_after_s``
    │   └── RateLimited 429, or our own limit: pause this connection (or mailbox), not the vendor
    ├── AuthExpired     token, secret or consent: a person must act; nothing is tried again
    ├── Rejected        the provider refused this request for good (4xx)
    │   └── AccessDenied  403: this mailbox or feature is not granted
    ├── NotFound        404 or 410: the item, folder or mailbox is not there
    └── Unexpected      an answer that breaks the contract (foreign link, wrong shape)

No message of this family carries a token, a secret or mail content.
"""

from __future__ import annotations


class BridgeError(Exception):
    """``code``: the provider's error code ("" if none); ``status``: HTTP status (0: no answer).

    ``may_have_happened``: the request was sent and its effect is not known; only reading can tell.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        status: int = 0,
        may_have_happened: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.may_have_happened = may_have_happened


class Temporary(BridgeError):
    """Worth another try after ``retry_after_s`` seconds."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float = 30.0,
        code: str = "",
        status: int = 0,
        may_have_happened: bool = False,
    ) -> None:
        super().__init__(message, code=code, status=status, may_have_happened=may_have_happened)
        self.retry_after_s = retry_after_s


class RateLimited(Temporary):
    """Too fast: the request was refused and had no effect."""


class AuthExpired(BridgeError):
    """``code`` is one of ``needs_consent``, ``credentials_expired``, ``bad_credentials``,
    ``tenant_gone``, ``app_missing``, ``refused``.
    """


class Rejected(BridgeError):
    """Refused for good; the same request will be refused again."""


class AccessDenied(Rejected):
    """403: the permission or the mailbox scope does not cover this."""


# What hosts call it where a whole mailbox, and not one item in it, is not there (trap 12).
OF_MAILBOX = frozenset(
    {
        *("MailboxNotEnabledForRESTAPI", "MailboxNotSupportedForRESTAPI", "ErrorInvalidUser"),
        *("ResourceNotFound", "Request_ResourceNotFound"),
        *("no_mail_service", "invalid_grant"),
    }
)


class NotFound(BridgeError):
    """The item, folder or mailbox is not there (any more)."""

    @property
    def is_of_mailbox(self) -> bool:
        """It may come back, with all that lies in it."""
        return self.code in OF_MAILBOX


class Unexpected(BridgeError):
    """The provider's answer is not what its contract says."""
