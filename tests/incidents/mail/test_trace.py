"""The trace proves that a mail came through our gate, and nothing can be changed in it."""

from datetime import UTC, datetime

import pytest

from incidents.mail.headers import header_values, prepend_headers
from incidents.mail.trace import TRACE_HEADER, Trace, check_trace, hash_message_id, sign_trace

KEY = bytes(range(32))
TRACE = Trace(
    key_id="k1",
    tenant_id=7,
    ulid="01JD4Z7Y8M2Q3R4S5T6V7W8X9Y",
    at=datetime(2026, 11, 22, 10, 30, 15, tzinfo=UTC),
    message_id_hash=hash_message_id("<1@sender.example>"),
    fingerprint="0123456789abcdef0123456789abcdef",
)


def test_a_signed_trace_reads_back():
    assert check_trace(sign_trace(TRACE, KEY), {"k1": KEY}) == TRACE


def test_a_trace_without_message_id_and_fingerprint_reads_back():
    bare = Trace("k1", 7, TRACE.ulid, TRACE.at)
    assert check_trace(sign_trace(bare, KEY), {"k1": KEY}) == bare


def test_every_single_changed_character_is_found():
    value = sign_trace(TRACE, KEY)
    for at in range(len(value)):
        for other in "0aZ; ":
            changed = value[:at] + other + value[at + 1 :]
            if changed.split() != value.split():
                assert check_trace(changed, {"k1": KEY}) is None, changed


@pytest.mark.parametrize("cut", [1, 10, 64, 65, 100])
def test_a_shortened_trace_is_no_trace(cut):
    assert check_trace(sign_trace(TRACE, KEY)[:-cut], {"k1": KEY}) is None


def test_another_key_does_not_vouch():
    value = sign_trace(TRACE, KEY)
    assert check_trace(value, {"k1": bytes(32)}) is None
    assert check_trace(value, {"k2": KEY}) is None
    assert check_trace(value, {}) is None


def test_a_trace_that_was_folded_on_the_way_still_counts():
    raw = prepend_headers(b"From: a@b.example\r\n\r\nx", [(TRACE_HEADER, sign_trace(TRACE, KEY))])
    folded = raw.replace(b"; ", b";\r\n\t")
    assert check_trace(header_values(folded, TRACE_HEADER)[0], {"k1": KEY}) == TRACE


def test_fields_that_could_forge_others_cannot_be_signed():
    forged = Trace("k1; t=8", 7, TRACE.ulid, TRACE.at)
    with pytest.raises(ValueError, match="cannot carry"):
        sign_trace(forged, KEY)


def test_a_short_key_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        sign_trace(TRACE, b"short")


@pytest.mark.parametrize("value", ["", "v1", "v2; k=k1", "\x00", "é" * 700, "v1; " * 10_000])
def test_what_is_no_trace_is_none(value):
    assert check_trace(value, {"k1": KEY}) is None


def test_an_impossible_time_with_a_valid_mac_is_none():
    import hashlib
    import hmac

    printed = sign_trace(TRACE, KEY).rpartition("; s=")[0].replace("20261122T", "20261399T")
    mac = hmac.new(KEY, printed.encode(), hashlib.sha256).hexdigest()
    assert check_trace(f"{printed}; s={mac}", {"k1": KEY}) is None
