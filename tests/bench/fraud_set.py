"""Made-up fraud that open corpora do not hold, and harmless mail of the same kinds beside it.

Boss fraud, a vendor's changed account, a colleague's taken-over mailbox; own templates, seeded.
The clients are the demo's.  Whoever writes the templates knows the detectors: the set shows that
the layers do what they are for, and no more.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, formataddr

from api_bridge.detect import Habits, History, KnownPerson, MailboxContext
from incidents.mail import Address
from incidents.words import Direction

OWN = "acme.example"
PEOPLE = (
    KnownPerson("ceo@acme.example", "Petra Lindqvist", "Chief Executive Officer", True),
    KnownPerson("cfo@acme.example", "Marcus Oyelaran", "CFO", True),
    KnownPerson("it@acme.example", "Dana Whitlock", "Head of IT"),
    KnownPerson("sales@acme.example", "Jonas Ferreira", "Sales"),
    KnownPerson("accounts@acme.example", "Ines Kowalczyk", "Accounts payable"),
)
VENDOR = "northwind-supply.example"
VENDOR_IBAN = "DE89370400440532013000"
OTHER_IBAN = "GB29NWBK60161331926819"
NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
KNOWN = History(
    first_seen_at=NOW - timedelta(days=300),
    mails_to_mailbox=14,
    mails_to_client=31,
    last_seen_at=NOW - timedelta(days=6),
    mails_answered=6,
)


@dataclass(frozen=True, slots=True)
class Made:
    """``is_bad`` False: the harmless counterpart."""

    kind: str
    is_bad: bool
    raw: bytes
    context: MailboxContext


def made_mails(seed: int = 7, each: int = 40) -> Iterator[Made]:
    """``each`` mails of every kind, bad and harmless ones."""
    dice = random.Random(seed)
    for maker in (
        _boss_fraud,
        _vendor_fraud,
        _vendor_taken_over,
        _lateral_phish,
        _boss_real,
        _vendor_real,
        _inside_real,
        _stranger_real,
    ):
        for _ in range(each):
            yield maker(dice)


def _mail(
    name: str,
    address: str,
    to: str,
    subject: str,
    text: str,
    *,
    reply_to: str = "",
    answers: str = "",
    mailer: str = "",
    html: str = "",
    at: datetime = NOW,
) -> bytes:
    mail = EmailMessage()
    mail["From"] = formataddr((name, address))
    mail["To"] = to
    mail["Subject"] = subject
    mail["Date"] = format_datetime(at)
    number = hashlib.sha256(f"{address} {subject} {at} {text}".encode()).hexdigest()[:16]
    mail["Message-ID"] = f"<{number}@{address.partition('@')[2]}>"
    if reply_to:
        mail["Reply-To"] = reply_to
    if answers:
        mail["In-Reply-To"] = mail["References"] = answers
    if mailer:
        mail["X-Mailer"] = mailer
    mail.set_content(text)
    if html:
        mail.add_alternative(html, subtype="html")
        mail.set_boundary("between-the-parts")
    return mail.as_bytes()


def _context(
    to: str,
    *,
    history: History | None = None,
    direction: Direction = Direction.INBOUND,
    accounts: frozenset[str] = frozenset(),
    habits: Habits | None = None,
) -> MailboxContext:
    return MailboxContext(
        recipient=Address(to),
        own_domains=(OWN,),
        people=PEOPLE,
        direction=direction,
        trace_state="valid" if direction is Direction.INBOUND else "none_expected",
        sender_history=history or History(),
        known_vendor_domains=frozenset({VENDOR, "halden-logistics.example"}),
        payment_accounts_of_sender=accounts,
        usual_features_of_sender=habits or Habits(),
    )


_ASKS = (
    "Are you at your desk? I need a quick favour before my next meeting. Keep it between us.",
    "I need you to process a payment today. What details do you need? I am in meetings, so just "
    "reply by mail.",
    "Please buy five gift cards for a client, scratch the back and send me the codes. I will "
    "reimburse you this afternoon.",
    "Kindly send me the current balance of our accounts and the list of overdue invoices. Urgent.",
    "We are closing an acquisition. It is strictly confidential. I need a wire transfer of "
    "48,300 EUR set up today; I will send the account details.",
    "Hi, do you have a minute? I have a small task for you and can't take calls right now.",
)
_CLOSINGS = ("Thanks", "Regards", "Best", "Sent from my iPhone", "Many thanks")


def _boss_fraud(dice: random.Random) -> Made:
    boss = dice.choice(PEOPLE[:2])
    to = dice.choice(("accounts@acme.example", "it@acme.example", "sales@acme.example"))
    local = boss.name.lower().replace(" ", dice.choice((".", "")))
    address, reply = dice.choice(
        (
            (f"{local}@acrne.example", ""),
            (f"{local}{dice.randint(10, 99)}@gmail.com", ""),
            (f"office{dice.randint(1, 99)}@mail-desk.example", f"{local}@outlook.com"),
            (f"{local}@acme-office.example", ""),
            (f"director{dice.randint(10, 999)}@yahoo.com", ""),
        )
    )
    text = f"Hi,\n\n{dice.choice(_ASKS)}\n\n{dice.choice(_CLOSINGS)}\n{boss.name}\n{boss.title}\n"
    subject = dice.choice(("Quick request", "Available?", "Payment today", "Confidential", "Task"))
    return Made(
        "boss_fraud",
        True,
        _mail(boss.name, address, to, subject, text, reply_to=reply),
        _context(to),
    )


def _invoice_text(dice: random.Random, account: str, change: str) -> str:
    number, amount = dice.randint(20100, 20999), dice.randint(900, 48000)
    spaced = " ".join(account[at : at + 4] for at in range(0, len(account), 4))
    return (
        f"Dear Ines,\n\nplease find our invoice {number} over EUR {amount},00. {change}\n\n"
        f"IBAN: {spaced}\n\nPayment is due within 14 days.\n\n"
        f"Kind regards\nTomas Brandl\nNorthwind Supply\n"
    )


_CHANGES = (
    "Please note that our bank details have changed; use the new account for this and all further "
    "payments.",
    "Our old account is under audit at the moment, so kindly pay to our new account below.",
    "We have switched banks. Please update our bank details in your records.",
)


def _vendor_fraud(dice: random.Random) -> Made:
    to = "accounts@acme.example"
    domain = dice.choice(
        ("northwlnd-supply.example", "northwind-suply.example", "northwind-supply-billing.example")
    )
    text = _invoice_text(dice, OTHER_IBAN, dice.choice(_CHANGES))
    raw = _mail("Tomas Brandl", f"t.brandl@{domain}", to, "Invoice and new bank details", text)
    return Made("vendor_fraud", True, raw, _context(to))


def _vendor_taken_over(dice: random.Random) -> Made:
    """The vendor's real mailbox, in a real thread, with the account changed."""
    to = "accounts@acme.example"
    text = _invoice_text(dice, OTHER_IBAN, dice.choice(_CHANGES))
    text += "\nOn Mon, 16 Nov 2026 Ines Kowalczyk wrote:\n> When will the invoice come?\n"
    raw = _mail(
        "Tomas Brandl", f"t.brandl@{VENDOR}", to, "Re: Invoice", text, answers="<q1@acme.example>"
    )
    return Made(
        "vendor_taken_over",
        True,
        raw,
        _context(to, history=KNOWN, accounts=frozenset({VENDOR_IBAN})),
    )


_HABITS = Habits(
    mails=60,
    hours=frozenset(range(7, 18)),
    mailers=frozenset({"Microsoft Outlook"}),
    languages=frozenset({"en"}),
    hosts=frozenset({"acme.example", "sharepoint.com"}),
    most_recipients=4,
)


def _lateral_phish(dice: random.Random) -> Made:
    person = dice.choice(PEOPLE[2:])
    to = "info@acme.example"
    host = dice.choice(
        ("acme-files.pages.dev", "forms.office.com", "sites.google.com", "docs-view.web.app")
    )
    page = f"https://{host}/{dice.choice(('view', 'd', 'open'))}/{dice.randint(1000, 9999)}"
    lure = dice.choice(
        (
            "I have shared a document with you. Please review and sign it today.",
            "Your mailbox quota is exceeded; verify your account to keep your messages.",
            "The new salary list is ready. View the document and confirm with your password.",
        )
    )
    at = NOW.replace(hour=dice.choice((2, 3, 23)))
    html = (
        f'<p>Hello,</p><p>{lure}</p><p><a href="{page}">Open document</a></p><p>{person.name}</p>'
    )
    raw = _mail(
        person.name,
        person.address,
        to,
        "Document",
        lure,
        html=html,
        mailer="Roundcube Webmail",
        at=at,
    )
    return Made(
        "lateral_phish",
        True,
        raw,
        _context(to, history=KNOWN, direction=Direction.INTERNAL, habits=_HABITS),
    )


def _boss_real(dice: random.Random) -> Made:
    boss = dice.choice(PEOPLE[:2])
    to = "accounts@acme.example"
    text = dice.choice(_ASKS[:2] + _ASKS[3:4] + _ASKS[5:])
    raw = _mail(
        boss.name,
        boss.address,
        to,
        "Quick request",
        f"Hi Ines,\n\n{text}\n\n{boss.name}\n",
        mailer="Microsoft Outlook",
    )
    return Made(
        "boss_real",
        False,
        raw,
        _context(to, history=KNOWN, direction=Direction.INTERNAL, habits=_HABITS),
    )


def _vendor_real(dice: random.Random) -> Made:
    to = "accounts@acme.example"
    change = dice.choice(("Our bank details are unchanged.", "Thank you for your order.", ""))
    text = _invoice_text(dice, VENDOR_IBAN, change)
    raw = _mail("Tomas Brandl", f"t.brandl@{VENDOR}", to, f"Invoice {dice.randint(1, 999)}", text)
    return Made(
        "vendor_real",
        False,
        raw,
        _context(to, history=KNOWN, accounts=frozenset({VENDOR_IBAN})),
    )


def _inside_real(dice: random.Random) -> Made:
    person = dice.choice(PEOPLE[2:])
    to = "info@acme.example"
    text = dice.choice(
        (
            "I have put the minutes on our SharePoint, please have a look before Thursday.",
            "Lunch on Friday at the usual place? Let me know if you can make it.",
            "Please find the figures for October attached. The invoice of Northwind is paid.",
            "The password policy changes on Monday. Nothing to do for you; IT will help.",
        )
    )
    html = f'<p>{text}</p><p><a href="https://acme.sharepoint.com/sites/all">Minutes</a></p>'
    at = NOW.replace(hour=dice.choice((8, 11, 16, 20)))
    raw = _mail(
        person.name,
        person.address,
        to,
        "This week",
        text,
        html=html,
        at=at,
        mailer="Microsoft Outlook",
    )
    return Made(
        "inside_real",
        False,
        raw,
        _context(to, history=KNOWN, direction=Direction.INTERNAL, habits=_HABITS),
    )


def _stranger_real(dice: random.Random) -> Made:
    """First contact without harm, sometimes with a colleague's first name or from a free mailer."""
    to = dice.choice(("sales@acme.example", "info@acme.example"))
    name = dice.choice(("Petra Hansen", "Marcus Lindgren", "Aylin Demir", "Jon Baker"))
    local = name.lower().replace(" ", ".")
    domain = dice.choice(("gmail.com", "hansen-bau.example", "lindgren.example", "outlook.com"))
    text = dice.choice(
        (
            "we met at the fair in Malmö. Could you send me your catalogue and a quotation?",
            "I would like to apply for the position in your sales team. When would a call suit?",
            "could you tell me whether part 4711 is still in stock and what delivery would cost?",
            "thank you for the talk yesterday. I will send our company profile tomorrow.",
        )
    )
    raw = _mail(
        name, f"{local}@{domain}", to, "Our talk", f"Hello,\n\n{text}\n\nKind regards\n{name}\n"
    )
    return Made("stranger_real", False, raw, _context(to))
