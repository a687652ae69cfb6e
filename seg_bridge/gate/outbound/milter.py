"""Submission through Postfix (587, 465): the milter front's conversation, which asks who sends.

Postfix keeps TLS, SASL (``sasl.py`` answers it), syntax and sizes.  We answer for sender, each
recipient and the whole mail, which the gate then sends on itself (``core.py``): Postfix forgets its
copy, and the sender hears its 250.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from typing_extensions import override

from seg_bridge.gate.milter import MilterParts, MilterSession
from seg_bridge.gate.milter_words import address_in
from seg_bridge.gate.outbound.submitter import Login, LoginEnded, Submitter
from seg_bridge.gate.paths import BadCommand, check_recipient
from seg_bridge.gate.policy import PolicySnapshot, Route
from seg_bridge.gate.queueing import Answer
from seg_bridge.gate.records import Transaction

Receive = Callable[[bytes, Transaction], Coroutine[Any, Any, str]]
NotHeard = Callable[[Transaction, str], Coroutine[Any, Any, None]]


class SubmissionMilter(MilterSession):
    is_sender_quiet = False  # that a login has ended is said before any recipient

    def __init__(self, parts: MilterParts, submitter: Submitter) -> None:
        super().__init__(parts)
        self._submitter = submitter

    @override
    def _take_sender(self, data: bytes) -> None:
        self._later(self._begin_submission(data))

    async def _begin_submission(self, data: bytes) -> None:
        """Raises ``BadCommand``."""
        self._begin(data)
        mail = self._open
        assert mail is not None
        login = Login(self._macro("auth_authen", "M").lower())
        try:
            await self._submitter.begin(
                mail.sender, mail.snapshot, client_ip=self._client_ip, login=login
            )
        except LoginEnded:
            self._forget_mail()
            raise BadCommand("535 5.7.8 This login has ended") from None
        except BadCommand:
            self._forget_mail()
            raise

    @override
    def _take_recipient(self, data: bytes) -> None:
        self._later(self._add_submitted(data))

    async def _add_submitted(self, data: bytes) -> None:
        """Raises ``BadCommand``."""
        mail = self._open
        if mail is not None:
            address = address_in(data)
            check_recipient(address, is_smtputf8=mail.is_smtputf8)
            route = self._submitter.route_to(address, mail.snapshot)
            await self._submitter.check_recipient(route, mail.routes)
        self._add_recipient(data)

    @override
    def _find(self, address: str, snapshot: PolicySnapshot) -> Route | None:
        return self._submitter.route_to(address, snapshot)

    @property
    @override
    def _authenticated_as(self) -> str:
        return self._submitter.submitted_by


def answering(receive: Receive) -> Callable[[bytes, Transaction], Coroutine[Any, Any, Answer]]:
    """The core's reply as an answer to Postfix."""

    async def answer(raw: bytes, transaction: Transaction) -> Answer:
        reply = await receive(raw, transaction)
        if reply.startswith("2"):
            return Answer(is_discarded=True, settled=(transaction, reply))
        return Answer(reply=reply)

    return answer


def taking_back(not_heard: NotHeard) -> Callable[[Answer], Coroutine[Any, Any, None]]:
    async def take_back(answer: Answer) -> None:
        if answer.settled is not None:
            await not_heard(*answer.settled)

    return take_back
