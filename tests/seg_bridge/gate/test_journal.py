import asyncio
import errno
import os

import pytest

from seg_bridge.gate import journal as gate_journal
from seg_bridge.gate.files import sync_folder
from seg_bridge.gate.journal import (
    Journal,
    JournalError,
    encode_record,
    read_all,
    read_records,
    segments,
)


async def written(folder, count, **options):
    journal = Journal(folder, **options)
    for number in range(count):
        await journal.append({"n": number})
    journal.close()


def numbers(folder):
    return [record["n"] for record in read_all(folder)]


async def test_what_was_appended_is_read_in_order(tmp_path):
    await written(tmp_path, 20)
    assert numbers(tmp_path) == list(range(20))


async def test_many_waiters_share_one_sync(tmp_path, monkeypatch):
    syncs = []
    real = os.fdatasync

    def slow_sync(fd):
        syncs.append(fd)
        import time

        time.sleep(0.02)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", slow_sync)
    journal = Journal(tmp_path)
    await asyncio.gather(*(journal.append({"n": number}) for number in range(100)))
    journal.close()
    assert len(numbers(tmp_path)) == 100
    assert len(syncs) < 10


async def test_a_segment_is_closed_when_it_is_full(tmp_path):
    await written(tmp_path, 10, segment_bytes=60)
    assert len(segments(tmp_path)) > 2
    assert numbers(tmp_path) == list(range(10))


async def test_a_new_process_begins_a_new_segment(tmp_path):
    await written(tmp_path, 1)
    await written(tmp_path, 1)
    assert len(segments(tmp_path)) == 2


async def test_a_gate_that_starts_reads_on_where_the_shipper_removes_a_segment(tmp_path):
    for first in (0, 10, 20):
        journal = Journal(tmp_path)
        for number in range(first, first + 2):
            await journal.append({"n": number})
        journal.close()
    records = read_all(tmp_path)
    assert next(records) == {"n": 0}
    segments(tmp_path)[1].unlink()
    assert [record["n"] for record in records] == [1, 20, 21]


@pytest.mark.parametrize("cut", range(1, 25))
async def test_a_torn_tail_is_stepped_over_wherever_it_was_torn(tmp_path, cut):
    await written(tmp_path, 3)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    await written(tmp_path, 1)
    found = numbers(tmp_path)
    assert found[0] == 0
    assert found[-1] == 0
    assert found[1:-1] == [1, 2][: len(found) - 2]


async def test_a_line_changed_on_disk_is_not_believed(tmp_path):
    await written(tmp_path, 3)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'{"n":1}', b'{"n":7}'))
    assert numbers(tmp_path) == [0, 2]


def test_an_open_segment_is_read_up_to_a_line_in_the_making(tmp_path):
    path = tmp_path / "0000000001.log"
    line = encode_record({"n": 1})
    path.write_bytes(encode_record({"n": 0}) + line[:-5])
    assert [record["n"] for _, record in read_records(path)] == [0]
    path.write_bytes(encode_record({"n": 0}) + line)
    (first, _), (second, record) = read_records(path)
    assert record == {"n": 1}
    assert list(read_records(path, first)) == [(second, {"n": 1})]


@pytest.mark.parametrize("call", ["write", "fdatasync"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
async def test_a_disk_error_is_told_to_every_waiter_and_the_journal_goes_on(
    tmp_path, monkeypatch, call, code
):
    journal = Journal(tmp_path)
    await journal.append({"n": 0})
    real = getattr(os, call)

    def fail(*args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    results = await asyncio.gather(
        journal.append({"n": 1}), journal.append({"n": 2}), return_exceptions=True
    )
    assert [type(result) for result in results] == [JournalError, JournalError]
    monkeypatch.setattr(os, call, real)
    await journal.append({"n": 3})
    journal.close()
    assert numbers(tmp_path) == [0, 3]
    assert len(segments(tmp_path)) == 2, "a file whose sync failed is never synced again"


async def test_a_segment_whose_name_is_not_on_disk_is_never_written_to(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    real, failures = sync_folder, [OSError(errno.EIO, "no")]

    def fail_once(folder):
        if failures:
            raise failures.pop()
        real(folder)

    monkeypatch.setattr(gate_journal, "sync_folder", fail_once)
    with pytest.raises(JournalError):
        await journal.append({"n": 0})
    await journal.append({"n": 1})
    journal.close()
    first, second = segments(tmp_path)
    assert (first.stat().st_size, second.stat().st_size > 0) == (0, True)
    assert numbers(tmp_path) == [1]


async def test_a_bug_in_the_writing_thread_leaves_nobody_waiting(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    real = os.write

    def fail(*args):
        raise MemoryError

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(JournalError, match="MemoryError"):
        await asyncio.wait_for(journal.append({"n": 0}), 5)
    monkeypatch.setattr(os, "write", real)
    await journal.append({"n": 1})
    journal.close()
    assert numbers(tmp_path) == [1]


async def test_half_a_record_on_a_full_disk_does_not_hide_what_follows(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    await journal.append({"n": 0})
    real_write, real_truncate = os.write, os.ftruncate

    def write_half(fd, data):
        real_write(fd, bytes(data)[:9])
        raise OSError(errno.ENOSPC, "full")

    def fail(*args):
        raise OSError(errno.EIO, "worse")

    monkeypatch.setattr(os, "write", write_half)
    monkeypatch.setattr(os, "ftruncate", fail)
    with pytest.raises(JournalError):
        await journal.append({"n": 1})
    monkeypatch.setattr(os, "write", real_write)
    monkeypatch.setattr(os, "ftruncate", real_truncate)
    await journal.append({"n": 2})
    journal.close()
    assert numbers(tmp_path) == [0, 2]


async def test_a_closed_journal_takes_nothing(tmp_path):
    journal = Journal(tmp_path)
    journal.close()
    with pytest.raises(JournalError):
        await journal.append({"n": 0})
