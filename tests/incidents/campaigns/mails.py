"""Mails to compare, made of a few plain words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from incidents.campaigns.evidence import Mail, mail_of
from incidents.campaigns.traits import traits_of
from tests.factories import mail_json

START = datetime(2026, 11, 1, 8, tzinfo=UTC)


def mail(
    number: int,
    *,
    host: str = "",
    subject: str = "",
    sender: str = "",
    name: str = "",
    account: str = "",
    hours: float = 0,
    fingerprint: str = "",
    shingles: tuple[int, ...] = (),
) -> Mail:
    """Mail ``number``; what is not given is its own and shared with no other."""
    word = "".join("abcdefghij"[int(digit)] for digit in str(number))
    facts: dict[str, Any] = mail_json(
        subject=subject or f"matter {word * 3} pending",
        sender={"address": sender or f"x@s{number}.example", "name": name, "raw": ""},
        links=[{"url": f"https://{host or f'h{number}.example'}/go/{word}"}],
        shingles=list(shingles),
        extra={"accounts": [["iban", account]] if account else []},
    )
    return mail_of(
        number,
        START + timedelta(hours=hours),
        facts,
        traits=traits_of(facts),
        fingerprint=fingerprint or f"{number:032d}",
    )


_HOSTS = st.sampled_from(["", "evil.example", "bad.example", "docs.google.com"])
_SUBJECTS = st.sampled_from(["", "your parcel is waiting", "verify your mailbox"])
_SENDERS = st.sampled_from(["", "a@crook.example", "b@thief.example", "c@gmail.com"])
_ACCOUNTS = st.sampled_from(["", "", "DE89370400440532013000"])


@st.composite
def mail_sets(draw: st.DrawFn, most: int = 14) -> list[Mail]:
    """Mails that share some of a few values, spread over two weeks."""
    return [
        mail(
            number,
            host=draw(_HOSTS),
            subject=draw(_SUBJECTS),
            sender=draw(_SENDERS),
            account=draw(_ACCOUNTS),
            hours=draw(st.integers(0, 24 * 14)),
        )
        for number in range(draw(st.integers(2, most)))
    ]
