"""Template tags of the design system: icons, times, words with their tone.

Shown on ``/console/components``; the words are in ``console/lib/words.py``.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import urlencode

from django import template
from django.contrib.messages.storage.base import Message
from django.templatetags.static import static
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext

from console.lib import words
from console.lib.words import Word
from console.queries.rows import Part, exposure_parts
from incidents.mail.render import visible_text
from incidents.models import Delivery, Incident, Job
from incidents.words import differ

register = template.Library()

_FALLBACKS = {
    "clock": "%H:%M:%S",
    "minute": "%H:%M",
    "day": "%-d %b %Y",
    "full": "%-d %b %Y, %H:%M UTC",
    "age": "%-d %b %Y, %H:%M UTC",
}

# The same for ``date_format``, which knows the names of months in other languages.
_WRITTEN = {
    "clock": "H:i:s",
    "minute": "H:i",
    "day": "j M Y",
    "full": r"j M Y, H:i \U\T\C",
    "age": r"j M Y, H:i \U\T\C",
}


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """One icon of the sprite; with a label it is spoken, without it is decoration."""
    href = f"{static('vendor/lucide/icons.svg')}#{name}"
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}"/></svg>', label, href
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}"/></svg>', href)


@register.simple_tag
def options(pairs: Iterable[tuple[object, object]], at: object) -> SafeString:
    """The ``<option>``s of these pairs of value and text; ``at`` is chosen.

    Not a loop in the template: with some hundred clients that took a tenth of a page's time.
    """
    return mark_safe(  # noqa: S308 - each value and text is escaped
        "".join(
            f'<option value="{escape(str(value))}"{" selected" if value == at else ""}>'
            f"{escape(str(text))}</option>"
            for value, text in pairs
        )
    )


@register.filter
def shortened(text: str, length: int) -> str:
    """At most so many characters, the last one then "…"."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


@register.simple_tag
def moment(when: datetime | None, shape: str = "age") -> SafeString:
    """A ``<time>`` that page.js writes in the reader's zone; without JS it says UTC.

    ``shape``: ``age clock minute day full``.  None gives a dash.
    """
    if when is None:
        return format_html('<span class="faint">{}</span>', "–")
    at = when.astimezone(UTC)
    return format_html(
        '<time datetime="{}" data-moment="{}">{}</time>',
        at.isoformat(),
        shape,
        _written(at, shape),
    )


def _written(at: datetime, shape: str) -> str:
    """As it stands without JS; English pages, which are most, are spared the slow way."""
    if get_language() == "en":
        return at.strftime(_FALLBACKS[shape])
    return date_format(at, _WRITTEN[shape])


@register.simple_tag
def tag(word: Word) -> SafeString:
    """A word on its tint: severity, state, outcome."""
    return _span("tag", word.tone, word.text, get_language())


@register.simple_tag
def coloured(word: Word) -> SafeString:
    """A word in its colour, without a tint: verdicts and places in dense rows."""
    return _coloured(word)


@register.simple_tag
def layers(gateway: str, mailbox: str, differ: bool) -> SafeString:
    """Both verdicts as words, ≠ where they differ.

    Each a verdict, "" = not scanned, "blind" or "not_seen".  In Python, as are the next two: rows
    of a list hold all three, and templates of their own were a third of the list's time.
    """
    between = (
        '<span class="ne" role="img" aria-label="but" title="The layers disagree">≠</span>'
        if differ
        else '<span class="faint" aria-hidden="true">·</span>'
    )
    said = [_coloured(words.verdict_word(one)) for one in (gateway, mailbox)]
    return mark_safe(  # noqa: S308 - our own words, escaped
        f'<span class="layers"><span class="vh">Gateway: </span>{said[0]}{between}'
        f'<span class="vh">Mailbox: </span>{said[1]}</span>'
    )


@register.simple_tag
def exposed(parts: Iterable[Part], blind_since: datetime | None = None) -> SafeString:
    """What is exposed now; without a part nothing is, or, with ``blind_since``, nobody can know."""
    # Read aloud the parts need a pause too.
    between = '<span class="vh">, </span><span class="faint" aria-hidden="true"> · </span>'
    said = between.join(_coloured(part) for part in parts)
    if not said:
        said = f'<span class="dim">{"Not known now" if blind_since else "Nothing exposed"}</span>'
    return mark_safe(f"<span>{said}</span>")  # noqa: S308 - our own words, escaped


@register.simple_tag
def urgency(severity: str, sla_text: str, sla_tone: str) -> SafeString:
    """Severity and time left in one block; ``sla_tone`` "": there is time."""
    tone = f' data-tone="{escape(sla_tone)}"' if sla_tone else ""
    left = f'<span class="sla"{tone}>{escape(sla_text)}</span>' if sla_text else ""
    return mark_safe(  # noqa: S308 - our own words, escaped
        f'<div class="two sev"><span>{tag(words.SEVERITIES[severity])}</span>{left}</div>'
    )


def _coloured(word: Word | Part) -> SafeString:
    return _span("word", word.tone, word.text, get_language())


@lru_cache(maxsize=1_000)
def _span(kind: str, tone: str, text: str, language: str | None) -> SafeString:
    """The same few words stand in every row: translated and escaped once for each language."""
    return format_html('<span class="{}" data-tone="{}">{}</span>', kind, tone, gettext(text))


@register.filter
def verdict(value: str | None) -> Word:
    return words.verdict_word(value)


@register.filter
def held_as(value: str | None) -> Word:
    return words.held_word(value)


@register.filter
def place(value: str | None) -> Word:
    return words.place_word(value)


@register.filter
def place_name(value: str) -> str:
    """The place in a word, without its tone."""
    return gettext(words.place_word(value).text)


@register.filter
def exposure(incident: Incident) -> list[Part]:
    """What is exposed of an incident, as ``exposed`` takes it."""
    return exposure_parts(incident.counts)


@register.filter
def place_of_clean(value: str | None) -> Word:
    return words.place_word(value, is_threat=False)


@register.filter
def severity(value: str) -> Word:
    return words.SEVERITIES[value]


@register.filter
def state(value: str) -> Word:
    return words.STATES[value]


@register.filter
def plain_state(value: str) -> Word:
    """As a client reads it."""
    return words.PLAIN_STATES[value]


@register.filter
def outcome(value: str) -> Word:
    return words.OUTCOMES[value]


@register.filter
def message_tone(message: Message) -> str:
    return {"success": "good", "info": "info", "debug": "info"}.get(message.level_tag, "high")


@register.simple_tag
def avatar(name: str) -> SafeString:
    """A person as initials: ``Ana Keller`` → ``AK``; one word gives its first two letters."""
    parts = name.split()
    initials = parts[0][0] + parts[-1][0] if len(parts) > 1 else name[:2]
    return format_html(
        '<span class="avatar" role="img" aria-label="{0}" title="{0}">{1}</span>',
        name,
        initials.upper(),
    )


@register.filter
def gateway_said(copy: Delivery) -> str:
    """The gateway's verdict of a copy; "not_seen" where it never passed the gateway."""
    return copy.gateway_verdict or ("" if copy.gateway_at else "not_seen")


@register.filter
def mailbox_said(copy: Delivery) -> str:
    return copy.mailbox_verdict or ("" if copy.mailbox_at else "not_seen")


@register.filter
def disagrees(copy: Delivery) -> bool:
    return differ(copy.gateway_verdict, copy.mailbox_verdict)


@register.filter
def lookup(mapping: Mapping[Any, Any], key: Any) -> Any:
    """``mapping[key]``, None where it has none."""
    return mapping.get(key)


@register.filter
def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h``, ``2 days``: the largest unit of which there are two."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


@register.filter
def percent(share: float) -> str:
    """0.9996 → "99.9 %": rounded down, so that only all of it is 100 %."""
    whole, tenth = divmod(int(share * 1000), 10)
    return f"{whole}.{tenth} %" if tenth else f"{whole} %"


@register.simple_tag
def querystring_of(kept: Mapping[str, str], **changes: str) -> str:
    """The filters of a list with these changed, for a link to it."""
    return urlencode({**kept, **changes})


@register.filter
def job_state(job: Job) -> Word:
    return words.JOBS[job.state]


@register.filter
def shown(text: str) -> str:
    """Text of a mail for a page: characters that turn or hide text become visible marks."""
    return visible_text(str(text))
