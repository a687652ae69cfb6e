"""Why mails belong together, in words an analyst can forward, with how rare the shared thing is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from incidents.campaigns.evidence import Link, Part

_THING = {
    "url": "the link {label}",
    "url_shape": "links of the form {label}",
    "url_host": "links to {label}",
    "file": "the same attached file",
    "image": "the same picture",
    "sender": "the sender {label}",
    "sender_domain": "a sender at {label}",
    "sender_infra": "a sending server in {label}",
    "ip": "the sending server {label}",
    "subject_shape": "the subject “{label}”",
    "display_name": "the sender's name “{label}”",
    "borrowed_name": "the sender's name {label}",
    "reply_to": "replies that go to {label}",
    "phone": "the phone number {label}",
    "iban": "the bank account ending {ending}",
    "wallet": "the wallet ending {ending}",
    "text_shape": "nearly the same words",
    "content": "the same content",
    "text": "nearly the same text",
}


def thing(kind: str, label: str) -> str:
    """What is shared: "links to evil.example"."""
    words = _THING.get(kind, kind.replace("_", " "))
    return words.format(label=label, ending=label[-4:])


def how_rare(messages: int | None, total: int | None) -> str:
    """``4 of 81,233 mails``; "" where it was not counted."""
    if messages is None or not total:
        return ""
    return f"{messages:,} of {max(messages, total):,} mails"


def say_part(kind: str, label: str, messages: int | None, total: int | None, share: str) -> str:
    """One piece of evidence as the middle of a sentence."""
    rare = how_rare(messages, total)
    details = [f"{share} alike"] if share else []
    if rare:
        details.append(f"in {rare}")
    return thing(kind, label) + (f" ({', '.join(details)})" if details else "")


def say_all(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def say_joined(link: Link, total: int | None = None) -> str:
    """Why a mail stands in its incident."""
    if [part.kind for part in link.parts] == ["content"]:
        return "Its content is the same as that of a mail of the incident."
    return f"It shares {say_parts(link.parts, total)} with a mail of the incident."


def say_parts(parts: Iterable[Part], total: int | None) -> str:
    said = [
        say_part(
            part.kind,
            part.label,
            part.messages,
            total,
            f"{part.share:.0%}" if part.share else "",
        )
        for part in sorted(parts, key=lambda part: -part.weight)
    ]
    return say_all(said)
