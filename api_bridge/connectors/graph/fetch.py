"""The whole mail as bytes: Exchange's MIME form, or rebuilt where Exchange cannot give one.

"Outlook does not save messages in MIME format": the form is made when asked for, and for some mail
(opaque S/MIME, reports about it) that fails in the same way every time.
Contract read 2026-11-22: microsoft-graph-docs ``outlook-get-mime-message``, ``attachment``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime

from api_bridge.connectors import Fetched, Ref
from api_bridge.connectors.graph.client import Ask, BatchReply, GraphClient, path
from api_bridge.connectors.graph.mapping import ITEM_FIELDS, Json, is_true, item_of, text_of
from api_bridge.connectors.graph.rebuild import AttachedFile, rebuild_mail
from api_bridge.errors import AccessDenied, BridgeError, Rejected, Unexpected
from incidents.words import Place

MAIL_LIMIT_BYTES = 64 * 1024 * 1024
FILES_LIMIT = 200


def fetch_mail(client: GraphClient, ref: Ref) -> Fetched:
    """Raises ``NotFound`` if the copy is gone, ``Rejected`` if even its parts cannot be had."""
    try:
        reply = client.call(
            "GET", _value_path(ref), mailbox_id=ref.mailbox_id, limit_bytes=MAIL_LIMIT_BYTES
        )
    except AccessDenied:
        raise
    except Rejected as error:
        return _fetch_parts(client, ref, error)
    return Fetched(ref=ref, raw=reply.content, acquired="graph-mime")


def fetch_mails(client: GraphClient, refs: Sequence[Ref]) -> list[Fetched | BridgeError]:
    """20 to a call; one that a batch cannot give is fetched alone."""
    asks = [Ask(mailbox_id=ref.mailbox_id, path=_value_path(ref)) for ref in refs]
    try:
        answers = client.batch(asks)
    except Rejected as error:
        if error.code != "too_big":
            raise
        answers = [error] * len(refs)
    fetched: list[Fetched | BridgeError] = []
    for ref, answer in zip(refs, answers, strict=True):
        try:
            fetched.append(_from_batch(client, ref, answer))
        except BridgeError as error:
            fetched.append(error)
    return fetched


def _from_batch(client: GraphClient, ref: Ref, answer: BatchReply | BridgeError) -> Fetched:
    if isinstance(answer, BatchReply):
        return Fetched(ref=ref, raw=answer.content(), acquired="graph-mime")
    if isinstance(answer, Rejected) and answer.code == "too_big":
        return fetch_mail(client, ref)
    if isinstance(answer, Rejected) and not isinstance(answer, AccessDenied):
        return _fetch_parts(client, ref, answer)
    raise answer


def _fetch_parts(client: GraphClient, ref: Ref, why: BridgeError) -> Fetched:
    """Headers, body and attachments, put together by us."""
    data = client.call(
        "GET",
        path("users", ref.mailbox_id, "messages", ref.item_id, select=ITEM_FIELDS),
        mailbox_id=ref.mailbox_id,
    ).json()
    item = item_of(data, ref.mailbox_id, Place.UNKNOWN, datetime.now(UTC))
    if item is None:
        raise Unexpected("The message came without its id.")
    files, missing = _files(client, ref) if item.has_attachments else ([], 0)
    problem = f"The provider has no MIME form of it ({why.code or why.status})."
    if missing:
        problem += f" {missing} attachments could not be read."
    return Fetched(
        ref=ref,
        raw=rebuild_mail(item, files),
        acquired="graph-json",
        is_complete=not missing,
        problem=problem,
    )


def _files(client: GraphClient, ref: Ref) -> tuple[list[AttachedFile], int]:
    """All attachments that can be read, and how many could not."""
    base = ("users", ref.mailbox_id, "messages", ref.item_id, "attachments")
    found: list[AttachedFile] = []
    missing = 0
    for page in client.pages(path(*base), mailbox_id=ref.mailbox_id):
        for entry in page:
            file = _file(client, ref, entry) if len(found) < FILES_LIMIT else None
            if file is None:
                missing += 1
            else:
                found.append(file)
    return found, missing


def _file(client: GraphClient, ref: Ref, entry: Json) -> AttachedFile | None:
    """None for what has no content here: a link to a cloud file, or a part that cannot be read."""
    kind = text_of(entry, "@odata.type").lower()
    if kind.endswith("itemattachment"):
        return _attached_item(client, ref, entry)
    try:
        content = base64.b64decode(text_of(entry, "contentBytes"), validate=True)
    except (binascii.Error, ValueError):
        return None
    if not content and not kind.endswith("fileattachment"):
        return None
    return AttachedFile(
        name=text_of(entry, "name"),
        content=content,
        content_type=text_of(entry, "contentType"),
        content_id=text_of(entry, "contentId"),
        is_inline=is_true(entry, "isInline"),
    )


def _attached_item(client: GraphClient, ref: Ref, entry: Json) -> AttachedFile | None:
    target = path(
        "users",
        ref.mailbox_id,
        "messages",
        ref.item_id,
        "attachments",
        text_of(entry, "id"),
        "$value",
    )
    try:
        reply = client.call("GET", target, mailbox_id=ref.mailbox_id, limit_bytes=MAIL_LIMIT_BYTES)
    except Rejected:
        return None
    return AttachedFile(name=text_of(entry, "name"), content=reply.content, is_mail=True)


def _value_path(ref: Ref) -> str:
    return path("users", ref.mailbox_id, "messages", ref.item_id, "$value")
