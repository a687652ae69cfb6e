"""Reading in a child: one bomb harms only itself, and nothing outlives the reader."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from incidents.mail import read_mail
from incidents.mail import reader as mail_reader
from incidents.mail.facts import MailFacts
from incidents.mail.reader import MailReader, ReaderUnavailable
from incidents.mail.wire import pack_facts, unpack_facts
from tests.incidents.mail.bombs import BOMBS
from tests.incidents.mail.mails import mail_with, plain_mail

ROOT = Path(__file__).resolve().parents[3]
MAIL = mail_with(
    text="Hello Bob, see https://a.example/x",
    html='<p>Hello <a href="https://a.example/x">Bob</a></p>',
    invoice_pdf=b"%PDF-1.4 x",
)
LARGE = plain_mail("word\r\n" * (8 * 1024 * 1024))
RECEIVED = (
    b"Received: from a.example ([192.0.2.1]) by b.example; Mon, 2 Nov 2026 10:00:00 +0000\r\n"
)


@pytest.fixture
def reader():
    with MailReader() as reader:
        yield reader


def child_pid(reader: MailReader) -> int:
    """The process id of the reader's one, idle child."""
    (child,) = filter(None, reader._free.queue)
    assert child is not None
    return child.process.pid


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(pid)


def test_the_child_says_what_reading_in_place_says(reader):
    raw = RECEIVED + b"Authentication-Results: mx.example; spf=pass\r\n" + MAIL
    own = ("mx.example",)
    facts = reader.read(raw, envelope_from="a@b.example", own_authserv_ids=own)
    assert facts == read_mail(raw, envelope_from="a@b.example", own_authserv_ids=own)
    assert facts.attachments
    assert facts.hops[0].received_at
    assert facts.auth_results


def test_facts_survive_the_wire():
    for raw in (MAIL, RECEIVED + MAIL, b"", b"\x00", plain_mail("")):
        facts = read_mail(raw)
        assert unpack_facts(pack_facts(facts)) == facts


def test_a_mail_that_takes_too_long_kills_the_child_and_the_next_one_is_read():
    with MailReader(wall_s=0.001) as reader:
        facts = reader.read(LARGE)
        assert (facts.is_readable, facts.problems) == (False, ("parser_killed",))
        assert facts.size_bytes == len(LARGE)
        assert facts.raw_sha256 == read_mail(LARGE).raw_sha256
        reader._wall_s = 20.0
        assert reader.read(MAIL) == read_mail(MAIL)


def test_a_mail_that_takes_too_much_cpu_is_killed():
    with MailReader(cpu_s=-1) as reader:  # used up before it begins, but for what was rounded
        problems = {problem for _ in range(5) for problem in reader.read(LARGE).problems}
        assert "parser_killed" in problems


def test_a_mail_that_takes_too_much_memory_does_not_harm_the_next():
    with MailReader(memory_bytes=80 * 1024 * 1024) as reader:
        facts = reader.read(LARGE)
        assert set(facts.problems) & {"out_of_memory", "parser_killed"}
        assert reader.read(MAIL) == read_mail(MAIL)


def test_a_child_that_was_killed_while_idle_is_replaced_unseen(reader):
    reader.read(MAIL)
    pid = child_pid(reader)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    assert reader.read(MAIL).is_readable
    assert child_pid(reader) != pid


def test_threads_share_the_children():
    mails = [plain_mail(f"Mail number {number} says hello to you.") for number in range(40)]
    found: dict[int, str] = {}
    with MailReader(workers=2) as reader:

        def work(start: int) -> None:
            for number in range(start, 40, 4):
                found[number] = reader.read(mails[number]).text

        threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {number: f"Mail number {number} says hello to you." for number in range(40)}


def test_a_child_outlives_the_short_thread_that_needed_it_first(reader):
    thread = threading.Thread(target=reader.read, args=(MAIL,))
    thread.start()
    thread.join()
    pid = child_pid(reader)
    time.sleep(0.05)
    assert reader.read(MAIL).is_readable
    assert child_pid(reader) == pid


def test_nobody_waits_behind_a_mail_that_never_ends_and_it_alone_is_killed():
    """How much slower the others are is measured: make bench ONLY=mail_reading."""
    ended: list[MailFacts] = []
    with MailReader(workers=2) as reader:
        reader.read(MAIL)
        stuck = child_pid(reader)
        os.kill(stuck, signal.SIGSTOP)
        thread = threading.Thread(target=lambda: ended.append(reader.read(MAIL)))
        thread.start()
        while reader._free.qsize() == 2:
            time.sleep(0.001)
        others = [reader.read(MAIL) for _ in range(20)]
        helper = child_pid(reader)
        assert ended == []
        os.kill(stuck, signal.SIGKILL)
        thread.join()
        assert [facts.problems for facts in ended] == [("parser_killed",)]
        assert all(facts.is_readable for facts in others)
        assert is_alive(helper)
        assert not is_alive(stuck)


def test_a_slow_mail_goes_on_at_low_priority_and_its_child_is_not_used_again():
    with MailReader(workers=1) as reader:
        reader.read(MAIL)
        pid = child_pid(reader)
        thread = threading.Thread(target=reader.read, args=(BOMBS["URLs of parentheses"](),))
        thread.start()
        wait_until_it_gives_way(pid)
        thread.join()
        reader.read(MAIL)
        assert child_pid(reader) != pid


def wait_until_it_gives_way(pid: int) -> None:
    deadline = time.monotonic() + 10
    while os.getpriority(os.PRIO_PROCESS, pid) == 0 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert os.getpriority(os.PRIO_PROCESS, pid) == 2


def test_a_slow_mail_that_others_keep_waiting_is_read_all_the_same(monkeypatch):
    """What a busy machine does to it for seconds, stopping it does at any load."""
    monkeypatch.setattr(mail_reader, "_SLOW_TIMES", 20)
    ended: list[MailFacts] = []
    with MailReader(workers=1, wall_s=3.0) as reader:
        reader.read(MAIL)
        pid, began = child_pid(reader), time.monotonic()
        raw = BOMBS["URLs of parentheses"]()
        thread = threading.Thread(target=lambda: ended.append(reader.read(raw)))
        thread.start()
        wait_until_it_gives_way(pid)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(began + 4.0 - time.monotonic())
        os.kill(pid, signal.SIGCONT)
        thread.join()
    assert [facts.problems for facts in ended] == [("text_cut",)]


def test_closing_ends_the_children_and_the_reader():
    reader = MailReader()
    reader.read(MAIL)
    pid = child_pid(reader)
    reader.close()
    reader.close()
    wait_until_gone(pid)
    with pytest.raises(ReaderUnavailable):
        reader.read(MAIL)


def test_a_mail_over_the_size_limit_is_not_read(reader):
    facts = reader.read(b"x" * (50 * 1024 * 1024 + 1))
    assert (facts.is_readable, facts.problems) == (False, ("mail_too_big",))


def run_parent(code: str) -> subprocess.Popen[str]:
    head = "from incidents.mail.reader import MailReader\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(code)],
        cwd=ROOT,
        env=os.environ | {"BAILEY_GATE_SECRET": "do-not-pass-me-on"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


PARENT = """
    reader = MailReader()
    reader.read(b"From: a@b.example\\n\\nhello")
    print(*(child.process.pid for child in reader._free.queue if child), flush=True)
    input()
"""


def test_the_child_dies_with_its_parent():
    with run_parent(PARENT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    wait_until_gone(pid)


def test_the_child_knows_no_secrets():
    with run_parent(PARENT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert b"do-not-pass-me-on" not in Path(f"/proc/{pid}/environ").read_bytes()
        parent.kill()
    wait_until_gone(pid)


def test_a_parent_that_forgets_to_close_ends_all_the_same():
    code = 'reader = MailReader()\nprint(reader.read(b"From: a@b.example\\n\\nhello").text)'
    with run_parent(code) as parent:
        assert parent.communicate(timeout=30)[0] == "hello\n"
    assert parent.returncode == 0


def test_a_forked_worker_gets_children_of_its_own():
    code = """
    import os
    reader = MailReader()
    reader.read(b"From: a@b.example\\n\\nhello")
    ours = [child.process.pid for child in reader._free.queue if child]
    pid = os.fork()
    if pid == 0:
        text = reader.read(b"From: a@b.example\\n\\nin the fork").text
        is_other = not any(child.process.pid in ours for child in reader._free.queue if child)
        reader.close()
        os._exit(0 if is_other and text == "in the fork" else 1)
    print(os.waitpid(pid, 0)[1], reader.read(b"From: a@b.example\\n\\nafter").text)
    reader.close()
    """
    with run_parent(code) as parent:
        assert parent.communicate(timeout=30)[0] == "0 after\n"
