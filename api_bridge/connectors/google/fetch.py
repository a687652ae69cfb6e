"""Messages by their ids: whole, or as a summary where whole ones would be too much at once.

Every form of a message costs the same, so what is new is had whole with its labels in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api_bridge.connectors import GMAIL_RAW, Fetched, Ref
from api_bridge.connectors.google import units
from api_bridge.connectors.google.batching import Ask
from api_bridge.connectors.google.client import GoogleClient, path
from api_bridge.connectors.google.mapping import Json, bytes_of
from api_bridge.errors import BridgeError, Rejected, Unexpected

# Gmail takes mail of 25 MB and, imported, of 150 MB; base64url adds a third.
MAIL_LIMIT_BYTES = 256 * 1024 * 1024
AT_ONCE = 10
RAW_PAGE_BYTES = 48 * 1024 * 1024
SUMMARY: dict[str, Any] = {"format": "metadata"}


def get_many(
    client: GoogleClient, mailbox_id: str, whole: Sequence[str], brief: Sequence[str]
) -> dict[str, Json | BridgeError]:
    """By id.  Of ``whole`` the mails themselves, as long as they are not too many bytes; what is
    beyond that, and ``brief``, as summaries.  Raises ``BridgeError`` if a batch as such failed.
    """
    found: dict[str, Json | BridgeError] = {}
    left, size = list(whole), 0
    while left and size < RAW_PAGE_BYTES:
        chunk, left = left[:AT_ONCE], left[AT_ONCE:]
        try:
            answers = client.batch([_ask(mailbox_id, each, {"format": "raw"}) for each in chunk])
        except Rejected as error:
            if error.code != "too_big":
                raise
            left = chunk + left
            break
        found |= zip(chunk, answers, strict=True)
        size += sum(
            len(each.get("raw", "")) for each in answers if not isinstance(each, BridgeError)
        )
    # What cannot be had whole may yet be told of.
    failed = [each for each in found if isinstance(found[each], Rejected)]
    summaries = [*left, *failed, *(each for each in brief if each not in found)]
    answers = client.batch([_ask(mailbox_id, each, SUMMARY) for each in summaries])
    return found | dict(zip(summaries, answers, strict=True))


def _ask(mailbox_id: str, message_id: str, form: dict[str, Any]) -> Ask:
    return Ask(mailbox_id=mailbox_id, path=path("messages", message_id, **form))


def fetch_mail(client: GoogleClient, ref: Ref) -> Fetched:
    """Raises ``NotFound`` if the copy is gone."""
    reply = client.mail(
        "GET",
        ref.mailbox_id,
        path("messages", ref.item_id, format="raw"),
        cost=units.GET_MESSAGE,
        limit_bytes=MAIL_LIMIT_BYTES,
    )
    return _fetched(ref, reply.json())


def fetch_mails(client: GoogleClient, refs: Sequence[Ref]) -> list[Fetched | BridgeError]:
    """Ten to a call; what is too big for one is fetched alone."""
    fetched: list[Fetched | BridgeError] = []
    for start in range(0, len(refs), AT_ONCE):
        chunk = refs[start : start + AT_ONCE]
        asks = [_ask(ref.mailbox_id, ref.item_id, {"format": "raw"}) for ref in chunk]
        try:
            answers: list[Json | BridgeError] = client.batch(asks)
        except Rejected as error:
            if error.code != "too_big":
                raise
            answers = [error] * len(chunk)
        fetched += [_one(client, ref, answer) for ref, answer in zip(chunk, answers, strict=True)]
    return fetched


def _one(client: GoogleClient, ref: Ref, answer: Json | BridgeError) -> Fetched | BridgeError:
    try:
        if isinstance(answer, Rejected) and answer.code == "too_big":
            return fetch_mail(client, ref)
        return answer if isinstance(answer, BridgeError) else _fetched(ref, answer)
    except BridgeError as error:
        return error


def _fetched(ref: Ref, data: Json) -> Fetched:
    raw = bytes_of(data)
    if not raw:
        raise Unexpected("The message came without its bytes.")
    return Fetched(ref=ref, raw=raw, acquired=GMAIL_RAW)
