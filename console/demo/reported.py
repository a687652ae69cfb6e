"""The demo's mail that neither layer objects to and that somebody reports."""

from __future__ import annotations

from collections.abc import Iterator

from console.demo import letters, world
from console.demo.mails import Act, DemoMail, Pen
from console.demo.world import CLIENTS


class Reported(Pen):
    """One that is what its readers take it for, and one that is harmless."""

    def report_mailboxes(self) -> Iterator[Act]:
        for client in CLIENTS:
            yield Act(
                "a report mailbox", "take_reports", client.slug, "", "", client.report_address
            )

    def register(self) -> DemoMail:
        """Prepares a call: no link, no file, no account."""
        return self._outside(
            "a mail that people report",
            world.REGISTER,
            ("Mikkel Thorn", "mikkel"),
            letters.REGISTER_CALL,
            CLIENTS[0],
            ("sofie", "jonas", "accounting"),
            name="all",
        )

    def survey(self) -> DemoMail:
        return self._outside(
            "a harmless mail that somebody reports",
            world.PARTNERS[2],
            ("Sam Okoye", "sam"),
            letters.SURVEY,
            CLIENTS[1],
            ("nils",),
            name="Nils",
            link=f"https://brightpaper.example/survey/{self._number()}",
        )

    def reports(self) -> Iterator[Act]:
        """Two people of Acme report the one, somebody of Globex the other, and is answered."""
        acme, globex = CLIENTS[:2]
        register, survey = letters.REGISTER_CALL.subject, letters.SURVEY.subject
        for local, words in (
            ("sofie", "We are in no such register, and he wants to know who signs for us."),
            ("jonas", "I do not know this man. Is he one of ours?"),
        ):
            yield _report(acme, register, words, local)
        yield _report(globex, survey, "Is this really from Brightpaper? It has a link.", "nils")
        yield Act(
            "a report is answered",
            "resolve",
            globex.slug,
            survey,
            "Brightpaper confirmed by phone that the survey is theirs.",
        )


def _report(client: world.ClientFacts, subject: str, words: str, local: str) -> Act:
    return Act(
        story="somebody reports it",
        what="report",
        client=client.slug,
        subject=subject,
        reason=words,
        mailbox=client.address(local),
        to=client.report_address,
        said="phishing",
    )
