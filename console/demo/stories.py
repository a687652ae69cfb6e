"""The demo's mail: an opening in which every kind of story happens, then an ordinary day.

A seed gives the same mail again, but for times and Message-IDs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from email.utils import formataddr

from console.demo import letters, world
from console.demo.accounts import AccountStories
from console.demo.mails import AccountAct, Act, DemoMail
from console.demo.malware import Malware
from console.demo.reported import Reported
from console.demo.world import CLIENTS, ClientFacts


class Author(AccountStories, Malware, Reported):
    """Tells the stories, one after the other."""

    def steps(self, *, is_told: bool = False) -> Iterator[DemoMail | Act | AccountAct]:
        """The opening, unless it ``is_told`` already, then an ordinary day without end."""
        if not is_told:
            yield from self.opening()
        while True:
            yield from self.ordinary(20)
            yield self.random.choice((self.password, self.parcel, self.spam))()

    def opening(self) -> Iterator[DemoMail | Act | AccountAct]:
        """Every kind of story, with harmless mail between, so that senders are known."""
        yield from self.report_mailboxes()
        yield from self.known_partners()
        yield from self.ordinary(12)
        for client in CLIENTS:
            yield self.campaign(client)
        yield self.bec_cfo()
        yield from self.lured()
        yield self.account_taken()
        for story in (
            self.bypass,
            self.malware_around,
            self.register,
            self.lateral,
            self.spam_partly_held,
            self.password,
            self.held_by_mistake,
            self.false_positive,
            self.plain,
            self.malware_locked,
            self.survey,
            self.malware_crude,
            self.shared_document,
            self.spam,
        ):
            yield story()
            yield from self.ordinary(2)
        yield from self.outbound_spam()
        yield from self.short_family()
        yield from self.ordinary(8)
        # Late: by now the firm whose name it borrows is known as one that the client deals with.
        yield self.bec_vendor()
        yield from self.tried()
        yield from self.reports()
        yield from self.acts()
        yield from self.account_answered()
        yield from self.stop_answered()

    def lured(self) -> Iterator[Act]:
        """One of two asks the help desk about the boss's mail, the other believes it."""
        acme, subject = CLIENTS[0], letters.BEC_CFO.subject
        it, info = acme.address("it"), acme.address("info")
        asked, believed = "Is this really from him?", "I am on it. Which supplier is it?"
        yield Act("she asks", "write", acme.slug, subject, asked, info, world.HELP_DESK)
        yield Act("he believes it", "write", acme.slug, subject, believed, it)

    def acts(self) -> Iterator[Act]:
        """What the provider's people make of it."""
        globex = CLIENTS[1].slug
        yield Act(
            "a false positive is released",
            "release",
            globex,
            letters.FALSE_POSITIVE.subject,
            "HR waits for these drawings.",
        )
        yield Act(
            "a late verdict",
            "condemn",
            globex,
            letters.PLAIN.subject,
            "The board behind the link asks for the mail password since noon.",
        )
        yield Act(
            "pulled and closed", "pull", globex, "Updated salary bands", "Lukas did not write it."
        )
        yield Act(
            "closed without an action",
            "resolve",
            CLIENTS[0].slug,
            "Buyer, you have WON",
            "Sales had asked for these offers.",
        )

    def known_partners(self) -> Iterator[DemoMail]:
        """The firms whose names others borrow later have written before, often enough to be known
        (``VENDOR_MAILS`` in ``api_bridge/known.py``).
        """
        for client, sender, person in (
            (CLIENTS[1], world.PARTNERS[1], ("Greta Lang", "greta")),
            (CLIENTS[2], world.PARTNERS[2], ("Sam Okoye", "sam")),
            (CLIENTS[1], world.PARTNERS[3], ("Tove Holm", "tove")),
        ):
            for letter in letters.HARMLESS[:3]:
                box = client.box("accounting")
                yield self._outside(
                    "harmless", sender, person, letter, client, (box.local,), name=box.name
                )

    def ordinary(self, number: int) -> Iterator[DemoMail]:
        for _ in range(number):
            is_newsletter = self.random.random() < 0.2
            yield self.newsletter() if is_newsletter else self.harmless()

    def harmless(self) -> DemoMail:
        client, sender = self._client(), self.random.choice(world.PARTNERS)
        box = self.random.choice(client.boxes)
        person = self.random.choice(("Tove Holm", "Ulrik Ost", "Greta Lang", "Sam Okoye"))
        local = person.split()[0].lower()
        letter = self.random.choice(letters.HARMLESS)
        return self._outside(
            "harmless", sender, (person, local), letter, client, (box.local,), name=box.name
        )

    def newsletter(self) -> DemoMail:
        client = self._client()
        box = self.random.choice(client.boxes)
        sender = world.NEWSLETTERS[0]
        mail = self._outside(
            "newsletter",
            sender,
            ("Trade Weekly", "hello"),
            letters.NEWSLETTER,
            client,
            (box.local,),
            headers={
                "List-Id": "Trade Weekly <weekly.tradeweekly.example>",
                "List-Unsubscribe": f"<https://{sender.domain}/u/{self._number()}>",
                "Precedence": "bulk",
            },
        )
        return mail

    def spam(self) -> DemoMail:
        client = self._client()
        return self._outside(
            "spam",
            world.SPAMMERS[1],
            ("Prize Desk", "desk"),
            letters.SPAM[1],
            client,
            ("info", "sales"),
        )

    def spam_partly_held(self) -> DemoMail:
        """An allow entry of Acme lets the copy for sales through; the other is held."""
        return self._outside(
            "spam, partly held",
            world.SPAMMERS[0],
            ("Best Deals", "offers"),
            letters.SPAM[0],
            CLIENTS[0],
            ("sales", "info"),
            name="Buyer",
        )

    def password(self) -> DemoMail:
        """Crude: the gateway catches it alone."""
        client = self._client()
        link = f"http://secure-mailbox-alerts.example/keep?u={self._number()}"
        return self._outside(
            "phish, crude",
            world.PHISHERS[0],
            ("Microsoft 365", "no-reply"),
            letters.PHISH_PASSWORD,
            client,
            ("info",),
            address=client.address("info"),
            link=link,
        )

    def parcel(self) -> DemoMail:
        client = self._client()
        return self._outside(
            "phish, parcel",
            world.PHISHERS[1],
            ("DHL Express", "track"),
            letters.PHISH_PARCEL,
            client,
            ("info",),
            link=f"http://parcel-status.example/{self._number()}",
        )

    def shared_document(self) -> DemoMail:
        """From a hijacked mailbox of a real practice: authentication passes."""
        return self._outside(
            "phish from a hijacked sender",
            world.HIJACKED,
            ("Sunnyvale Dental", "office"),
            letters.PHISH_STATEMENT,
            CLIENTS[0],
            ("jonas", "sofie"),
            link=f"https://statement-viewer.web.app/s/{self._number()}",
        )

    def campaign(self, client: ClientFacts) -> DemoMail:
        """The same lure goes to all clients within minutes."""
        return self._outside(
            "campaign over three clients",
            world.HIJACKED,
            (client.box("ceo").name, "reception"),
            letters.PHISH_SHARED,
            client,
            ("hr", "accounting", "sales"),
            link="https://team-files.pages.dev/view/7731",
            document="Project schedule.pdf",
        )

    def held_by_mistake(self) -> DemoMail:
        """An entry of Globex holds a partner's mail for one mailbox; the others find it clean."""
        return self._outside(
            "held by an entry, clean in the mailboxes",
            world.PARTNERS[3],
            ("Tove Holm", "tove"),
            letters.HARMLESS[1],
            CLIENTS[1],
            ("hr", "accounting", "nils"),
            name="all",
        )

    def false_positive(self) -> DemoMail:
        """A partner's mail that an entry holds by mistake: somebody releases it."""
        return self._outside(
            "a false positive",
            world.PARTNERS[3],
            ("Tove Holm", "tove"),
            letters.FALSE_POSITIVE,
            CLIENTS[1],
            ("hr",),
        )

    def plain(self) -> DemoMail:
        """Harmless as far as anybody can see; what is behind its link changes later."""
        return self._outside(
            "a late verdict, before it",
            world.PARTNERS[3],
            ("Tove Holm", "tove"),
            letters.PLAIN,
            CLIENTS[1],
            ("nils", "emma"),
            name="both",
            link="https://board.okdesign.example/thursday",
        )

    def short_family(self) -> Iterator[DemoMail]:
        """Three mails in the boss's name, too short for anything but their template to be alike."""
        initech = CLIENTS[2]
        boss = initech.box("ceo").name
        for local in ("it", "joan", "anne"):
            box = initech.box(local)
            yield self._outside(
                "a family of short mails",
                world.FREE_MAILER,
                (boss, f"office.{self._number()}"),
                letters.SHORT_FAVOUR,
                initech,
                (box.local,),
                headers={"Reply-To": "office@quick-answers.example"},
                name=box.name.split()[0],
                boss=boss,
            )

    def bec_cfo(self) -> DemoMail:
        acme = CLIENTS[0]
        boss = acme.box("cfo").name
        return self._outside(
            "fraud in the CFO's name",
            world.LOOKALIKE,
            (boss, "cfo"),
            letters.BEC_CFO,
            acme,
            ("it", "info"),
            name=acme.box("it").name.split()[0],
            boss=boss,
        )

    def bec_vendor(self) -> DemoMail:
        globex = CLIENTS[1]
        return self._outside(
            "fraud in a vendor's name",
            world.VENDOR_LOOKALIKE,
            ("Greta Lang", "greta"),
            letters.BEC_VENDOR,
            globex,
            ("accounting",),
            name="colleagues",
        )

    def bypass(self) -> DemoMail:
        """Handed straight to the mail host: the gateway never sees it."""
        client = CLIENTS[2]
        link = f"http://secure-mailbox-alerts.example/verify?u={self._number()}"
        mail = self._outside(
            "around the gateway",
            world.PHISHERS[0],
            ("Microsoft 365", "no-reply"),
            letters.PHISH_PASSWORD,
            client,
            ("joan",),
            address=client.address("joan"),
            link=link,
        )
        return replace(mail, way="around")

    def lateral(self) -> DemoMail:
        """From a mailbox of Globex that somebody else has taken over, to colleagues."""
        globex = CLIENTS[1]
        sender = globex.box("lukas")
        raw = self._write(
            letters.LATERAL,
            formataddr((sender.name, globex.address("lukas"))),
            [globex.address(local) for local in ("hr", "emma", "cfo")],
            None,
            name="all",
            sender=sender.name,
            link="https://salary-bands.weebly.com/confirm",
        )
        return DemoMail(
            story="lateral phish inside",
            way="inside",
            mail_from=globex.address("lukas"),
            recipients=tuple(globex.address(local) for local in ("hr", "emma", "cfo")),
            raw=raw,
            client_ip="",
            helo="",
        )
