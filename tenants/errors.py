"""Domain errors: what went wrong, in a sentence for the person, with a stable code.

``DomainError`` → ``NotThere`` (404; also what belongs to somebody else), ``NotAllowed`` (403),
``WrongInput`` (400), ``Conflict`` (409), ``TooLarge`` (413), ``TooManyRequests`` (429).
Pages show the sentence, the API answers with a problem document (RFC 9457).
"""

from __future__ import annotations

from typing import ClassVar

from django.db import InterfaceError, OperationalError


class DomainError(Exception):
    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "This cannot be done"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class NotThere(DomainError):
    """It does not exist, or it is not yours: the answer is the same."""

    code = "not_found"
    status = 404
    title = "Not found"

    def __init__(self, sentence: str = "There is nothing here that you may see.") -> None:
        super().__init__(sentence)


class NotAllowed(DomainError):
    code = "not_allowed"
    status = 403
    title = "Not allowed"


class WrongInput(DomainError):
    code = "wrong_input"
    status = 400
    title = "Please check what you entered"


class Conflict(DomainError):
    code = "conflict"
    status = 409
    title = "Something else came first"


class TooLarge(DomainError):
    code = "too_large"
    status = 413
    title = "Too large"


class TooManyRequests(DomainError):
    code = "too_many_requests"
    status = 429
    title = "Too many tries"


# Deadlocked, or no longer in order with what others wrote; somebody else holds the row.
_OVERTAKEN = ("40", "55P03")


def domain_error_of(error: BaseException) -> DomainError | None:
    """What a person is told of ``error``; None: it is a fault of ours.

    Of two requests that wait for each other the database calls one off and undoes it whole: it came
    second, and may be sent again as it is.
    """
    if isinstance(error, DomainError):
        return error
    state = getattr(error.__cause__, "sqlstate", None) or ""
    if isinstance(error, OperationalError) and state.startswith(_OVERTAKEN):
        return Conflict(
            "Somebody else was changing the same at this very moment, so nothing of yours was done."
            " Please try again."
        )
    return None


# Connection lost, rolled back for another's sake, out of resources, locked, shutting down, disk.
_PASSING = ("08", "40", "53", "55", "57", "58")


def is_passing_trouble(error: BaseException) -> bool:
    """Is the database away or busy, so that the same again may well succeed?

    A statement that the database can never carry out is an ``OperationalError``, too: a value that
    is too large for an index (class 54).
    Source: PostgreSQL 15, appendix A, error codes; PEP 249.
    """
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state[:2] in _PASSING
