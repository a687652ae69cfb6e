"""What reading a mail costs: in this process, in the child, and against the standard library."""

from __future__ import annotations

import email
import os
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from incidents.mail import read_mail
from incidents.mail.reader import MailReader
from tests.bench import Measurement
from tests.bench._ordinary_mail import ordinary_mails
from tests.incidents.mail.bombs import BOMBS

MAILS = 400
ROUNDS = 3
GOAL_MS = 3.0
GOAL_AMONG = 0.9
# Of a hundred mails one is a bomb; those that a host sends within seconds, not the largest.
ONE_IN, LARGEST_BOMB = 100, 5_000_000
SENDERS, BOMBERS = 4, 4
AMONG_ROUNDS, AMONG_TIMES = 11, 5
SHARED = Path(os.environ.get("BAILEY_SHARED") or Path(__file__).resolve().parents[3] / "shared")
CORPUS = SHARED / "corpus" / "dev.tar.xz"


def mails() -> tuple[list[bytes], str]:
    """Real mail where the corpus lies beside the repository, else generated mail."""
    if not CORPUS.is_file():
        return list(ordinary_mails(20, MAILS)), "generated ordinary mail"
    raws: list[bytes] = []
    with tarfile.open(CORPUS) as archive:
        for member in archive:  # their names are hashes: the first ones are as good as any
            if "/mail/" in member.name and member.isfile() and len(raws) < MAILS:
                content = archive.extractfile(member)
                assert content is not None
                raws.append(content.read())
            elif len(raws) >= MAILS:
                break
    return raws, "real mail"


def cpu_ms(work: Callable[[bytes], object], raws: list[bytes]) -> float:
    """The best of some rounds, per mail, of this process and its children that have ended."""
    best = float("inf")
    for _ in range(ROUNDS):
        before = os.times()
        for raw in raws:
            work(raw)
        after = os.times()
        best = min(best, after.user + after.system - before.user - before.system)
    return best * 1_000 / len(raws)


def wall_ms(work: Callable[[bytes], object], raws: list[bytes]) -> float:
    started = time.perf_counter()
    for raw in raws:
        work(raw)
    return (time.perf_counter() - started) * 1_000 / len(raws)


def with_child_cpu_ms(raws: list[bytes]) -> float:
    """CPU of both processes; the child's counts when it has ended."""
    before = os.times()
    with MailReader() as reader:
        for raw in raws:
            reader.read(raw)
    after = os.times()
    spent = sum(after[:4]) - sum(before[:4])
    return spent * 1_000 / len(raws)


class Among:
    """Ordinary mail from some senders at once, and one bomb for every hundred of it, of every kind
    in turn.  Who sends a bomb waits for it; the others' mail is counted.
    """

    def __init__(self, reader: MailReader, raws: list[bytes], bombs: list[bytes]) -> None:
        self.reader, self.bombs, self.thrown = reader, bombs, 0
        self._mails = iter(raws)
        self._lock, self._due = threading.Lock(), threading.Semaphore(0)
        self._taken, self._is_over = 0, False

    def rate(self) -> float:
        """Ordinary mails a second."""
        bombers = [threading.Thread(target=self._throw) for _ in range(BOMBERS)]
        senders = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        started = time.perf_counter()
        for each in (*bombers, *senders):
            each.start()
        for each in senders:
            each.join()
        spent_s = time.perf_counter() - started
        self._is_over = True
        self._due.release(BOMBERS)
        for each in bombers:
            each.join()
        return self._taken / spent_s

    def _send(self) -> None:
        while True:
            with self._lock:
                raw = next(self._mails, None)
                if raw is None:
                    return
                self._taken += 1
                if self._taken % ONE_IN == 0:
                    self._due.release()
            self.reader.read(raw)

    def _throw(self) -> None:
        while self._due.acquire() and not self._is_over:
            if self.bombs:
                with self._lock:
                    bomb = self.bombs[self.thrown % len(self.bombs)]
                    self.thrown += 1
                self.reader.read(bomb)


def among_bombs(raws: list[bytes]) -> Measurement:
    """Rounds with and without bombs by turns; their medians."""
    bombs = [bomb for make in BOMBS.values() if len(bomb := make()) <= LARGEST_BOMB]
    ratios, thrown, quiet = [], 0, 0.0
    with MailReader() as reader:
        Among(reader, raws, []).rate()  # its children are there
        for _ in range(AMONG_ROUNDS):
            quiet = Among(reader, raws * AMONG_TIMES, []).rate()
            among = Among(reader, raws * AMONG_TIMES, bombs[thrown % len(bombs) :] + bombs)
            ratios.append(among.rate() / quiet)
            thrown += among.thrown
    return Measurement(
        name="mail_read_among_bombs",
        value=median(ratios),
        unit="ratio",
        against=f"the same without bombs, {quiet:.0f} mails a second by {SENDERS} senders;"
        f" {thrown} bombs of {len(bombs)} kinds; rounds {min(ratios):.2f} to {max(ratios):.2f}",
        goal=f"≥ {GOAL_AMONG}",
        met=median(ratios) >= GOAL_AMONG,
    )


def measure() -> list[Measurement]:
    raws, kind = mails()
    size_kb = sum(map(len, raws)) / len(raws) / 1_000
    stdlib = cpu_ms(lambda raw: list(email.message_from_bytes(raw).walk()), raws)
    here = cpu_ms(read_mail, raws)
    child = min(with_child_cpu_ms(raws) for _ in range(ROUNDS))
    with MailReader() as reader:
        reader.read(raws[0])
        wall = wall_ms(reader.read, raws)
    against = f"email.message_from_bytes {stdlib:.2f} ms; {kind}, {size_kb:.0f} kB on average"
    return [
        Measurement(name="mail_read", value=here, unit="ms CPU", against=against),
        Measurement(
            name="mail_read_in_child",
            value=child,
            unit="ms CPU",
            against=f"in place {here:.2f} ms; the child's start is in it; wall {wall:.2f} ms",
            goal=f"≤ {GOAL_MS:g} ms",
            met=child <= GOAL_MS,
        ),
    ]


def measure_bombs() -> list[Measurement]:
    return [among_bombs(mails()[0])]


MEASURES = {"mail_reading": measure, "bombs": measure_bombs}
