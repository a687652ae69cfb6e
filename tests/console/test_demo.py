"""The demo's mail and what people do with it fit together."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

from api_bridge.known import PROFILE_KEPT_S, VENDOR_MAILS
from console.demo.mails import AccountAct, Act, DemoMail
from console.demo.stories import Author


def test_whose_name_a_fraud_borrows_is_known_by_then():
    """As a firm that the client deals with: by enough mails, and these in the profile, which is
    kept for a while; a mail a second flows.
    """
    vendor, lookalike = "hafenlogistik.example", "hafen-logistik.example"
    mails = [step for step in Author().opening() if isinstance(step, DemoMail)]
    [fraud] = [n for n, each in enumerate(mails) if each.mail_from.endswith(f"@{lookalike}")]
    [whom] = mails[fraud].recipients
    client = whom.partition("@")[2]
    before = [
        n
        for n, each in enumerate(mails[:fraud])
        if each.mail_from.endswith(f"@{vendor}") and each.recipients[0].endswith(f"@{client}")
    ]
    assert len(before) >= VENDOR_MAILS
    assert fraud - before[VENDOR_MAILS - 1] >= PROFILE_KEPT_S


def test_people_act_on_mail_that_has_come_to_them_before():
    came: list[tuple[str, str]] = []
    written = 0
    for step in Author().opening():
        if isinstance(step, DemoMail):
            subject = str(message_from_bytes(step.raw, policy=default)["Subject"])
            came += [(subject, address) for address in step.recipients]
            continue
        if isinstance(step, AccountAct):
            continue
        assert isinstance(step, Act)
        fits = [address for subject, address in came if subject.startswith(step.subject)]
        assert fits, step
        if step.what == "write":
            assert step.mailbox in fits
            written += 1
    assert written == 2
