"""Domain errors: what went wrong, in a sentence for the person, with a stable code.

``DomainError`` → ``NotThere`` (404; also what belongs to somebody else), ``NotAllowed`` (403),
``WrongInput`` (400), ``Conflict`` (409), ``TooManyRequests`` (429).
Pages show the sentence, the API answers with a problem document (RFC 9457).
"""

from __future__ import annotations

from typing import ClassVar


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


class TooManyRequests(DomainError):
    code = "too_many_requests"
    status = 429
    title = "Too many tries"
