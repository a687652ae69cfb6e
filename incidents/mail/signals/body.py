"""How the mail is built: what is shown, what is hidden, how it shouts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from incidents.mail.signals.domains import is_shared_host
from incidents.mail.signals.reading import Reading, Signal
from incidents.mail.signals.text import mixes_alphabets, without_invisible
from incidents.observations import Reason

_PASSWORD = re.compile(r"<input\b[^>]{0,300}type\s*=\s*[\"']?password", re.I)
_SCRIPT = re.compile(r"<script\b|\bjavascript:", re.I)
_ENTITY_RUN = re.compile(r"(?:&#x?[0-9a-f]{2,6};){12}", re.I)
_QUOTED = re.compile(r"^(?:>|On .{5,80} wrote:|-{2,}\s?Original Message)", re.M)
_CODE = re.compile(
    r"^(?:diff --git |@@ |Signed-off-by: |\+{3} |#include |\$ |\tat |Traceback )", re.M
)
_SIGNATURE_MARK = re.compile(r"^-- ?$", re.M)
_MONEY = re.compile(r"[$€£]\s?\d|\d\s?(?:[$€£]|usd\b|eur\b|gbp\b)", re.I)
_SPACED = re.compile(r"\b(?:\w[ ._*]){4,}\w\b")
_PLACE_HOLDER = re.compile(
    r"\{\{\s*[A-Za-z_ ]{3,24}\s*\}\}|\[(?:first ?|last |full )?name\]|\[e-?mail\]|"
    r"%(?:first_?name|name|email)%|\{(?:first_?name|name|email)\}|##\w{3,20}##",
    re.I,
)
_CODE_WORD = re.compile(
    r"(?<![\w./@-])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{10,40}(?![\w./@-])"
)
_MAYBE_MASKED = re.compile(r"(?<![\w/.@=&?%#:+-])[A-Za-z0@!|]{4,30}(?![\w/@=.:-])")
_MASK = re.compile(r"[a-z][0@!|][a-z]", re.I)
_HEX = re.compile(r"[0-9a-f]+", re.I)
_DIGIT_RUN = re.compile(
    r"(?:#|\b(?:id|ref|no|nr|order|invoice|case|ticket)[\s:#-]*)?[A-Z]{0,4}\d{5,}", re.I
)


def few_words(reading: Reading) -> Iterator[Reason]:
    """Hardly any words and a link or picture: the matter is hidden from filters."""
    count = len(reading.words)
    if reading.image_count and count < 25 and reading.links:
        yield Reason(
            "image_only",
            f"The mail is a picture with a link and has only {count} words.",
            str(count),
        )
    elif (
        count < 30
        and reading.links
        and not all(is_shared_host(host) for host in reading.link_hosts)
    ):
        yield Reason("short_with_link", f"The mail is {count} words and a link.", str(count))
    if count < 6 and not reading.links:
        yield Reason("almost_empty", f"The mail has only {count} words.", str(count))


def forms(reading: Reading) -> Iterator[Reason]:
    if _PASSWORD.search(reading.html):
        yield Reason("password_field", "The mail itself holds a field for a password.")
    elif reading.facts.extra.get("forms"):
        yield Reason("form_in_mail", "The mail itself holds a form to be filled in.")
    if _SCRIPT.search(reading.html):
        yield Reason("script_in_mail", "The mail holds script code.")


def hidden_text(reading: Reading) -> Iterator[Reason]:
    hidden = len("".join(reading.facts.hidden_text.split()))
    if hidden >= 400 and hidden > len(reading.shown_text) // 3:
        yield Reason(
            "much_hidden_text",
            f"The mail holds {hidden} characters that the reader cannot see.",
            str(hidden),
        )
    text = reading.shown_text[:20_000]
    if text.isascii():
        return
    masks = len(text) - len(without_invisible(text))
    if masks >= 10 and masks * 60 > len(text):
        yield Reason(
            "invisible_in_text",
            f"The text holds {masks} invisible characters between its letters.",
            str(masks),
        )
    mixed = [word for word in text.split() if mixes_alphabets(word)][:50]
    if len(mixed) >= 3:
        yield Reason(
            "mixed_alphabets_in_text",
            f"Words mix letters of several alphabets: “{mixed[0][:30]}” and {len(mixed) - 1} more.",
            mixed[0][:30],
        )


def coded_text(reading: Reading) -> Iterator[Reason]:
    if _ENTITY_RUN.search(reading.html):
        yield Reason(
            "text_as_numbers", "The text is written in character numbers to be unreadable."
        )
    if "html" in reading.content_type:
        yield Reason("html_only", "The mail has only an HTML part, as mass mailers send it.")


def shouting(reading: Reading) -> Iterator[Reason]:
    subject = reading.facts.subject
    letters = [char for char in subject if char.isalpha()]
    if len(letters) >= 10 and sum(char.isupper() for char in letters) > 0.8 * len(letters):
        yield Reason("subject_in_capitals", f"The subject shouts: “{subject[:80]}”.", subject[:80])
    if subject.count("!") >= 2:
        yield Reason("subject_exclaims", f"The subject exclaims: “{subject[:80]}”.", subject[:80])
    if any(0x1F300 <= ord(char) <= 0x1FAFF or 0x2600 <= ord(char) <= 0x27BF for char in subject):
        yield Reason(
            "subject_with_emoji", f"The subject carries pictures: “{subject[:80]}”.", subject[:80]
        )
    if _MONEY.search(subject):
        yield Reason(
            "subject_names_money", f"The subject names a sum: “{subject[:80]}”.", subject[:80]
        )
    if not subject.strip():
        yield Reason("subject_missing", "The mail has no subject.")


def subject_tricks(reading: Reading) -> Iterator[Reason]:
    facts = reading.facts
    answer = re.match(r"\s*(?:re|aw|fwd?|wg|rv|res|tr)\s*(?:\[\d+\])?:", facts.subject, re.I)
    if answer and not (facts.in_reply_to or facts.references) and not _QUOTED.search(facts.text):
        yield Reason(
            "false_answer",
            f"The subject “{facts.subject[:60]}” says “answer”, but there is nothing before it.",
            answer.group(0).strip(),
        )
    for address in reading.recipients[:2]:
        local = address.partition("@")[0]
        if len(local) >= 4 and local in reading.subject_plain and "@" not in reading.subject_plain:
            yield Reason(
                "subject_names_recipient",
                f"The subject addresses the reader by the mailbox name “{local}”.",
                local,
            )
            break
    if any(
        "@" in reading.subject_plain and address in reading.subject_plain
        for address in reading.recipients[:2]
    ):
        yield Reason("subject_holds_address", "The subject carries the recipient's address.")
    if _SPACED.search(facts.subject):
        yield Reason(
            "subject_spaced", f"The subject's letters are pulled apart: “{facts.subject[:60]}”."
        )
    if _CODE_WORD.search(facts.subject) and not facts.list_id:
        yield Reason(
            "subject_with_code",
            f"The subject carries a code: “{facts.subject[:60]}”.",
            facts.subject[:60],
        )
    if _DIGIT_RUN.search(facts.subject) and not facts.list_id:
        yield Reason(
            "subject_with_number",
            f"The subject carries a long number: “{facts.subject[:60]}”.",
            facts.subject[:60],
        )


def masked_words(reading: Reading) -> Iterator[Reason]:
    """Zero for O, one for l, @ for a, inside words: letters for people, not for filters."""
    shown = f"{reading.facts.subject} {reading.shown_text[:5000]}"
    masked = [
        word
        for word in _MAYBE_MASKED.findall(shown)
        if _MASK.search(word) and not _HEX.fullmatch(word)
    ]
    if len(set(masked)) >= 2:
        yield Reason(
            "masked_words",
            f"Words are masked with digits and signs: “{masked[0][:30]}”, “{masked[1][:30]}”.",
            masked[0][:30],
        )


def open_template(reading: Reading) -> Iterator[Reason]:
    """A place-holder that the mass mailer forgot to fill in."""
    match = _PLACE_HOLDER.search(f"{reading.facts.subject} {reading.shown_text[:5000]}")
    if match:
        yield Reason(
            "template_left_open",
            f"A place-holder was not filled in: {match.group(0)}.",
            match.group(0),
        )


def conversation(reading: Reading) -> Iterator[Reason]:
    """What speaks for a mail between people: answers that quote, code, lists."""
    facts = reading.facts
    quotes = bool(_QUOTED.search(facts.text))
    if quotes and (facts.in_reply_to or facts.references):
        yield Reason("answer_with_quote", "The mail answers an earlier one and quotes it.")
    elif quotes:
        yield Reason("quotes_earlier_mail", "The mail quotes an earlier one.")
    elif facts.in_reply_to or facts.references:
        yield Reason("answers_earlier_mail", "The mail says that it answers an earlier one.")
    if _CODE.search(facts.text):
        yield Reason("holds_code", "The text holds program code or a change to it.")
    if _SIGNATURE_MARK.search(facts.text):
        yield Reason("signature_mark", "The text ends with a signature in the old style.")


def plainness(reading: Reading) -> Iterator[Reason]:
    facts = reading.facts
    if not facts.html and not reading.links and not facts.attachments:
        yield Reason("only_words", "The mail is plain text without links or attachments.")
    elif not facts.html:
        yield Reason("plain_text", "The mail is plain text.")


def names_recipient(reading: Reading) -> Iterator[Reason]:
    """The recipient's bare address as the salutation or in the running text."""
    start = reading.shown_text[:20_000].lower()
    for address in reading.recipients[:2]:
        at = start.find(address)
        if at < 0:
            continue
        before = start[max(0, at - 25) : at]
        if re.search(
            r"(?:dear|hello|hi|hallo|cher|estimado|caro|prezado|attention|attn)\W*$", before
        ):
            yield Reason(
                "greets_by_address",
                f"The mail greets the reader by the address {address}.",
                address,
            )
        else:
            yield Reason("text_holds_address", f"The text holds the address {address}.", address)
        return


SIGNALS: tuple[Signal, ...] = (
    names_recipient,
    few_words,
    forms,
    hidden_text,
    coded_text,
    shouting,
    subject_tricks,
    masked_words,
    open_template,
    conversation,
    plainness,
)
