"""The people's page: who has a mailbox here, what lies in it, and a mail as plain text.

Read-only, no script, every text escaped; style.css lies beside this file.
"""

import json
import sqlite3
from collections.abc import Iterable
from html import escape
from pathlib import Path
from urllib.parse import quote

from api_bridge.sandbox import directory, ids, mailboxes, mime
from api_bridge.sandbox.clock import as_graph_time
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Request, Response, text_response

STYLE = Path(__file__).with_name("style.css")
MOST_ROWS = 200
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'"


class Page:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def serve(self, request: Request) -> Response | None:
        """None: the address is none of the page's."""
        if request.method != "GET":
            return None
        match request.segments:
            case []:
                response = self._overview()
            case ["style.css"]:
                response = text_response(STYLE.read_text(), kind="text/css")
            case ["mailbox", address]:
                response = self._mailbox(request, address)
            case _:
                return None
        response.headers |= {
            "content-security-policy": POLICY, "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer", "cache-control": "no-store",
        }  # fmt: skip
        return response

    def _overview(self) -> Response:
        parts = []
        for tenant in self._store.rows("SELECT * FROM tenant ORDER BY display_name"):
            cards = "".join(self._card(user) for user in self._store.rows(
                "SELECT * FROM user WHERE tenant_id = ? AND has_mailbox ORDER BY display_name",
                tenant["id"],
            ))  # fmt: skip
            parts.append(
                f"<section><h2>{escape(tenant['display_name'])} "
                f"<small>{escape(tenant['domain'])}</small></h2>"
                f'<ul class="cards">{cards}</ul></section>'
            )
        empty = '<p class="empty">No company has been set up yet.</p>'
        intro = "<p>A small cloud on this machine. Nothing here leaves it.</p>"
        return _page("Mailboxes", f'<main class="overview">{intro}{"".join(parts) or empty}</main>')

    def _card(self, user: sqlite3.Row) -> str:
        total, unread = self._store.rows(
            "SELECT count(*), coalesce(sum(NOT is_read), 0) FROM message WHERE mailbox = ?",
            user["number"],
        )[0]
        mails = "1 mail" if total == 1 else f"{total} mails"
        badge = f'<b class="badge">{unread} unread</b>' if unread else ""
        return (
            f'<li><a href="{_mailbox_url(user)}"><strong>{escape(user["display_name"])}</strong>'
            f"<span>{escape(user['job_title'] or 'no title')}</span>"
            f"<span>{escape(user['mail'])}</span><span>{mails} {badge}</span></a></li>"
        )

    def _mailbox(self, request: Request, address: str) -> Response:
        user = directory.mailbox_of(self._store, address)
        if user is None:
            body = '<main class="overview"><p class="empty">No such mailbox.</p></main>'
            return _page("Not found", body, status=404)
        folder = mailboxes.find_folder(
            self._store, user["number"], request.first("folder") or "inbox"
        ) or mailboxes.own_folder(self._store, user["number"], "inbox")
        rows = self._store.rows(
            "SELECT * FROM message WHERE folder = ? ORDER BY received_at DESC, number DESC LIMIT ?",
            folder["number"], MOST_ROWS,
        )  # fmt: skip
        wanted = request.first("message")
        message = mailboxes.find_message(self._store, user["number"], wanted) if wanted else None
        body = (
            f'<main class="mailbox">{self._folders(user, folder)}'
            f"{_list(user, folder, rows, message)}{self._reading(message)}</main>"
        )
        return _page(f"{folder['display_name']} · {user['mail']}", body, user=user)

    def _folders(self, user: sqlite3.Row, chosen: sqlite3.Row) -> str:
        items = []
        for folder in self._store.rows(
            "SELECT folder.*, (SELECT count(*) FROM message WHERE folder = folder.number) AS total,"
            " (SELECT count(*) FROM message WHERE folder = folder.number AND NOT is_read) AS unread"
            " FROM folder WHERE mailbox = ? AND well_known IS NOT 'msgfolderroot' ORDER BY "
            "well_known IS NOT 'inbox', display_name",
            user["number"],
        ):
            here = ' aria-current="page"' if folder["number"] == chosen["number"] else ""
            hidden = " <small>hidden</small>" if folder["is_hidden"] else ""
            count = f"<b>{folder['unread'] or ''}</b><i>{folder['total'] or ''}</i>"
            items.append(
                f'<li><a href="{_mailbox_url(user, folder)}"{here}>'
                f"<span>{escape(folder['display_name'])}{hidden}</span>{count}</a></li>"
            )
        return f'<nav aria-label="Folders"><ul>{"".join(items)}</ul></nav>'

    def _reading(self, message: sqlite3.Row | None) -> str:
        if message is None:
            return '<article><p class="empty">Choose a mail to read it as plain text.</p></article>'
        people = json.loads(message["people"])
        lines = [
            (name.title(), ", ".join(f"{n} <{a}>" if n else a for n, a in people[name]))
            for name in ("from", "sender", "reply-to", "to", "cc")
            if people.get(name)
        ]
        lines += [("Received", as_graph_time(message["received_at"])),
                  ("Message-ID", message["internet_message_id"])]  # fmt: skip
        raw = mailboxes.raw_mail(self._store, message)
        files = "".join(
            f"<li>{escape(part.name)} <small>{escape(part.content_type)}, "
            f"{len(part.content):,} bytes</small></li>"
            for part in mime.attachments(raw)
        )
        text = message["body"]
        if message["body_type"] == "html":
            text = mime.text_of_html(text)
        rows = "".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in lines)
        return (
            f"<article><h2>{escape(message['subject']) or 'No subject'}</h2><dl>{rows}</dl>"
            + (f'<ul class="files">{files}</ul>' if files else "")
            + f'<pre dir="auto">{escape(text)}</pre></article>'
        )


def _list(
    user: sqlite3.Row, folder: sqlite3.Row, rows: Iterable[sqlite3.Row], chosen: sqlite3.Row | None
) -> str:
    items = []
    for row in rows:
        url = f"{_mailbox_url(user, folder)}&amp;message=" + quote(
            ids.immutable_id(user["number"], row["number"]), safe=""
        )
        here = ' aria-current="true"' if chosen and chosen["number"] == row["number"] else ""
        state = "" if row["is_read"] else ' class="unread"'
        items.append(
            f'<li{state}><a href="{url}"{here}><span class="who">'
            f"{escape(row['from_name'] or row['from_address'] or 'Unknown sender')}</span>"
            f"<time>{as_graph_time(row['received_at'])[5:16].replace('T', ' ')}</time>"
            f'<span class="subject">{escape(row["subject"]) or "No subject"}</span>'
            f'<span class="preview">{escape(row["preview"][:140])}</span></a></li>'
        )
    name = escape(folder["display_name"])
    empty = '<p class="empty">Nothing in this folder.</p>'
    inner = f"<ol>{''.join(items)}</ol>" if items else empty
    return f'<section aria-label="Mails"><h2>{name}</h2>{inner}</section>'


def _mailbox_url(user: sqlite3.Row, folder: sqlite3.Row | None = None) -> str:
    url = f"/mailbox/{quote(user['mail'])}"
    if folder is not None:
        url += f"?folder={quote(ids.folder_id(user['number'], folder['number']), safe='')}"
    return escape(url)


def _page(title: str, body: str, *, user: sqlite3.Row | None = None, status: int = 200) -> Response:
    who = ""
    if user is not None:
        who = f"<p><b>{escape(user['display_name'])}</b> {escape(user['mail'])}</p>"
    return text_response(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · Sandbox cloud</title>"
        '<link rel="stylesheet" href="/style.css"></head><body>'
        f'<header><a href="/">Sandbox cloud</a>{who}</header>{body}</body></html>',
        status,
        "text/html",
    )
