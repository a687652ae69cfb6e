"""The demo's mail and what people do with it fit together."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

from console.demo.mails import Act, DemoMail
from console.demo.stories import Author


def test_people_act_on_mail_that_has_come_to_them_before():
    came: list[tuple[str, str]] = []
    written = 0
    for step in Author().opening():
        if isinstance(step, DemoMail):
            subject = str(message_from_bytes(step.raw, policy=default)["Subject"])
            came += [(subject, address) for address in step.recipients]
            continue
        assert isinstance(step, Act)
        fits = [address for subject, address in came if subject.startswith(step.subject)]
        assert fits, step
        if step.what == "write":
            assert step.mailbox in fits
            written += 1
    assert written == 2
