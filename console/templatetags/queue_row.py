"""A row of the queue: one incident in two lines (``console.queries.rows.Row``).

In Python as the words of ``bailey`` are: a page holds fifty, and as a template with its pieces they
took a third of the page's time.
"""

from __future__ import annotations

from html import escape
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from console.queries.rows import Row
from console.templatetags.bailey import avatar, exposed, layers, moment, shortened, shown, urgency

register = template.Library()

_ROW = """
<tr data-row id="row-{id}">
<td class="pick"><input class="over" type="checkbox" name="incident" value="{id}.{revision}"\
 form="choose" id="pick-{id}" data-choose data-key="x" data-key-does="Choose this row"\
 aria-keyshortcuts="x" aria-label="Choose {client} {number}"></td>
<td>{urgency}</td>
<td class="title"><div class="two"><a class="open" href="{href}" id="open-{id}">\
<bdi>{title}</bdi></a><span>{about}</span></div></td>
<td class="wide{idle}"><div class="two">{exposed}{blind}</div></td>
<td class="wide{idle}"><div class="two">{layers}{against}</div></td>
<td class="wide"><div class="two"><span>{did}</span>{next_step}</div></td>
<td><div class="two over">{owner}{looking}</div></td>
</tr>
"""
_TAKE = """\
<form method="post" action="{}"><input type="hidden" name="csrfmiddlewaretoken" value="{}">\
<input type="hidden" name="revision" value="{}"><button class="btn" id="take-{}" data-key="a"\
 data-key-does="Assign to me" aria-keyshortcuts="a">Take</button></form>"""
_BLIND = '<span class="word" data-tone="high">blind since {}</span>'
_NOTHING = SafeString()
_NO_MAIL = SafeString('<span class="dim">–</span>')


@register.simple_tag(takes_context=True)
def queue_row(context: dict[str, Any], row: Row) -> SafeString:
    """``<tr>``; what is not known to be markup is escaped by ``format_html``."""
    blind = format_html(_BLIND, moment(row.blind_since, "minute")) if row.blind_since else _NOTHING
    taken = avatar(row.owner) if row.owner else None
    return format_html(
        _ROW,
        id=row.id,
        revision=row.revision,
        client=row.client,
        number=row.number,
        urgency=urgency(row.severity, row.sla_text, row.sla_tone),
        href=row.href,
        title=shortened(shown(row.title), 70),
        about=_about(row),
        idle="" if row.is_about_mail or row.blind_since else " idle",
        exposed=exposed(row.exposure, row.mailbox_blind_since) if row.is_about_mail else _NO_MAIL,
        blind=blind,
        layers=layers(row.gateway, row.mailbox, row.differ) if row.is_about_mail else _NO_MAIL,
        against=_line(row.against),
        did=row.did,
        next_step=_line(row.next_step),
        owner=taken
        or format_html(_TAKE, row.assign_href, context.get("csrf_token", ""), row.revision, row.id),
        looking=_looking(row.looking),
    )


def _about(row: Row) -> SafeString:
    """``Acme · sender@host · #12 · 2 clients · reported by 1 person · “Subject”``."""
    said = [escape(each) for each in (row.client, row.number, row.campaign, row.reported) if each]
    if row.sender:
        said.insert(1, f"<bdi>{escape(shown(row.sender))}</bdi>")
    if row.subject:
        said.append(f"“<bdi>{escape(shortened(shown(row.subject), 80))}</bdi>”")
    return mark_safe(" · ".join(said))  # noqa: S308 - each is escaped


def _line(text: str) -> SafeString:
    return format_html("<span>{}</span>", text) if text else _NOTHING


def _looking(names: list[str]) -> SafeString:
    if not names:
        return _NOTHING
    return format_html_join("", "<span>{} is looking</span>", ((name,) for name in names))
