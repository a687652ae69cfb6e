"""The demo's mail and what people do with it fit together."""

from __future__ import annotations

import io
import zipfile
from email import message_from_bytes
from email.policy import default
from pathlib import Path

from api_bridge.known import PROFILE_KEPT_S, VENDOR_MAILS
from console.demo import malware
from console.demo.mails import AccountAct, Act, DemoMail
from console.demo.malware import EICAR, NOTHING
from console.demo.stories import Author
from console.demo.world import CLIENTS


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
    of_mailboxes: list[str] = []
    for step in Author().opening():
        if isinstance(step, DemoMail):
            subject = str(message_from_bytes(step.raw, policy=default)["Subject"])
            came += [(subject, address) for address in step.recipients]
            continue
        if isinstance(step, AccountAct):
            continue
        assert isinstance(step, Act)
        if step.what == "take_reports":
            continue
        fits = [address for subject, address in came if subject.startswith(step.subject)]
        assert fits, step
        if step.mailbox:
            assert step.mailbox in fits
            of_mailboxes.append(step.what)
    assert sorted(of_mailboxes) == [*["report"] * 3, *["write"] * 3]


def test_whoever_reports_has_a_mailbox_to_report_to_that_is_known_by_then():
    """What the scanner knows of a client is kept for a while; a step a second happens."""
    steps = list(Author().opening())
    taken = {
        step.mailbox: n
        for n, step in enumerate(steps)
        if isinstance(step, Act) and step.what == "take_reports"
    }
    reports = [
        (n, step) for n, step in enumerate(steps) if isinstance(step, Act) and step.what == "report"
    ]
    assert all(n - taken[step.to] >= PROFILE_KEPT_S for n, step in reports)
    others = {address for s in steps if isinstance(s, DemoMail) for address in s.recipients}
    assert taken.keys() == {client.report_address for client in CLIENTS}
    assert not others & taken.keys()


def test_nothing_that_hangs_on_the_demos_mail_does_anything():
    mails = [step for step in Author().opening() if isinstance(step, DemoMail)]
    files = [
        part
        for mail in mails
        for part in message_from_bytes(mail.raw, policy=default).iter_attachments()
    ]
    held: dict[str | None, bytes] = {part.get_filename(): part.get_content() for part in files}
    assert held.keys() == {"Contract.zip", "Price list.zip", "Proof of delivery.com"}
    assert held.pop("Proof of delivery.com") == b"".join(EICAR)
    for archive in held.values():
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            [inside] = opened.infolist()
        assert NOTHING in archive
        assert inside.file_size == len(NOTHING)


def test_no_file_of_the_demo_is_the_test_file_of_virus_scanners():
    folder = Path(malware.__file__).parent
    assert all(b"".join(EICAR) not in each.read_bytes() for each in folder.rglob("*.py*"))
