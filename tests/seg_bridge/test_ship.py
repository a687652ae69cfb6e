import json
import os
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.core.cache import cache
from django.db import InterfaceError, OperationalError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisIsAway

from console.launch.ports import free_port
from incidents.evidence import read_evidence
from incidents.intake import record
from incidents.models import Evidence, Observation
from seg_bridge import gatekeeper, ingest, shipping
from seg_bridge.gate.signing import sign_request
from seg_bridge.models import Gate
from tenants.models import Work
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json
from tests.seg_bridge.conftest import Wire, make_gate


def rows_of(tenant) -> list[Observation]:
    with tenant_scope(Role.WORKER, [tenant.id]):
        return list(Observation.objects.order_by("source_key"))


def test_a_batch_is_stored_for_each_client_and_leaves_work(cast: Cast, wire: Wire):
    answer = wire.ship(
        gateway_saw(cast.acme, "info@acme.example"), gateway_saw(cast.globex, "it@globex.example")
    )
    assert (answer.status_code, answer.json()) == (
        200,
        {"stored": 2, "duplicates": 0, "refused": []},
    )
    assert [row.recipient for row in rows_of(cast.acme)] == ["info@acme.example"]
    assert [row.recipient for row in rows_of(cast.globex)] == ["it@globex.example"]
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        assert Work.objects.get(queue="intake").wanted_at is not None
    with maintenance_scope():
        assert Gate.objects.get(name="mx1").last_seen_at is not None


def test_an_empty_batch_is_answered(wire: Wire):
    assert wire.ship().json() == {"stored": 0, "duplicates": 0, "refused": []}


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_batches_repeated_split_and_reordered_give_the_same_rows(
    cast: Cast, wire: Wire, data: st.DataObject
):
    seen = [
        gateway_saw(tenant, f"{name}@{tenant.slug}.example", observed_at=AT + timedelta(minutes=at))
        for tenant in (cast.acme, cast.globex)
        for name in ("info", "it")
        for at in (0, 1)
    ]
    first = wire.ship(*seen).json()
    assert first["stored"] + first["duplicates"] == len(seen)
    for batch in data.draw(
        st.lists(st.lists(st.sampled_from(seen), min_size=1, max_size=10), max_size=3)
    ):
        assert wire.ship(*batch).json() == {"stored": 0, "duplicates": len(batch), "refused": []}
    assert (len(rows_of(cast.acme)), len(rows_of(cast.globex))) == (4, 4)


AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tenant_id": 999_999}, "does not speak for that client"),
        ({"tenant_id": "1"}, "does not speak for that client"),
        ({"source": "gate:mx2"}, "for itself only"),
        ({"layer": "mailbox"}, "for itself only"),
        ({"layer": "chimney"}, "not a line of a shipper"),
        ({"verdict": "evil"}, "not a line of a shipper"),
        ({"recipient": ""}, "needs source_key and recipient"),
        ({"recipient": 7}, "recipient is a text"),
        ({"source_key": "k" * 5000}, "source_key is a text"),
        ({"observed_at": "2026-11-01T12:00:00"}, "time zone"),
        ({"observed_at": "2999-01-01T00:00:00+00:00"}, "in the future"),
        ({"direction": "sideways"}, "direction is one of"),
        ({"score": "high"}, "score is a number"),
        ({"score": float("nan")}, "not a number in JSON"),
        ({"score": True}, "score is a number"),
        ({"evidence": "../../etc/passwd"}, "SHA-256"),
        ({"mail": []}, "mail and detail"),
        ({"reasons": [{"code": 1, "text": "x"}]}, "code, text and value"),
        ({"reasons": [{"code": "x", "text": "x", "weight": "1"}]}, "weight of a reason"),
        ({"unheard_of": 1}, "not a line of a shipper"),
    ],
)
def test_a_line_that_can_never_be_stored_is_named_and_the_others_are_kept(
    cast: Cast, wire: Wire, change: dict[str, Any], words: str
):
    bad = gateway_saw(cast.acme, "it@acme.example").as_json() | change
    answer = wire.ship(
        gateway_saw(cast.acme, "info@acme.example"),
        {"kind": "observation", "observation": bad},
        gateway_saw(cast.globex, "info@globex.example"),
    )
    assert answer.status_code == 200
    taken = answer.json()
    assert taken["stored"] == 2
    assert [each["line"] for each in taken["refused"]] == [1]
    assert words in taken["refused"][0]["error"]


@pytest.mark.parametrize(
    "line",
    [b"not json\n", b"\xff\xfe\n", b"[]\n", b"7\n", b'{"kind":"gossip"}\n', b"[" * 100_000 + b"\n"],
)
def test_what_is_no_line_at_all_is_refused_and_not_a_server_error(
    cast: Cast, wire: Wire, line: bytes
):
    answer = wire.ship(line, gateway_saw(cast.acme, "info@acme.example"))
    assert answer.json()["stored"] == 1
    assert [each["line"] for each in answer.json()["refused"]] == [0]


def test_hostile_text_is_kept_and_refuses_nothing(cast: Cast, wire: Wire):
    nasty = "a\x00b\ud800c\u202e\U0001f4a9"
    seen = gateway_saw(
        cast.acme,
        "info@acme.example",
        rule=nasty,
        internet_message_id=nasty,
        mail=mail_json(subject=nasty),
        detail={nasty: [nasty]},
    )
    assert wire.ship(seen).json() == {"stored": 1, "duplicates": 0, "refused": []}
    (row,) = rows_of(cast.acme)
    assert row.mail["subject"].startswith("a\ufffdb")
    assert row.mail["subject"].endswith("c\u202e\U0001f4a9")


def test_a_line_that_the_database_refuses_does_not_stop_the_others(cast: Cast, wire: Wire):
    lines = [gateway_saw(cast.acme, f"u{n}@acme.example") for n in range(3)]
    bad = json.dumps({"kind": "observation", "observation": lines[0].as_json()})
    # JSON to Python, and no number of jsonb: it becomes infinite on the way.  Beside it a number
    # of more than 64 bits, without which null would be written for it.
    numbers = f'"detail": {{"n": 1e999, "m": {2**64}}}'
    bad = bad.replace('"detail": {}', numbers).replace("u0@", "bad@")
    answer = wire.ship(lines[0], bad.encode() + b"\n", *lines[1:])
    assert answer.json()["stored"] == 3
    assert [each["line"] for each in answer.json()["refused"]] == [1]


@pytest.mark.parametrize("seconds", [-301 - 5, 301 + 5], ids=["too old", "from the future"])
def test_a_request_of_another_time_is_refused(cast: Cast, wire: Wire, seconds: int):
    answer = wire.ask("POST", "/ship", b"", now=time.time() + seconds)
    assert answer.status_code == 401


def test_a_wrong_secret_an_unknown_gate_and_no_signature_get_the_same_answer(
    cast: Cast, wire: Wire
):
    unknown = sign_request(gate="mx9", method="POST", target="/ship", body=b"", secret=b"x" * 32)
    answers = [
        wire.ask("POST", "/ship", secret=os.urandom(32)),
        wire.ask("POST", "/ship", headers=unknown),
        wire.ask("POST", "/ship", headers={}),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert len({answer.content for answer in answers}) == 1


def test_a_signature_is_for_one_body_one_path_and_one_method(cast: Cast, wire: Wire):
    headers = sign_request(
        gate="mx1", method="POST", target="/ship", body=b"", secret=wire.mx.secret
    )
    assert wire.ask("POST", "/ship", b"{}", headers=headers).status_code == 401
    assert wire.ask("POST", "/ship?x=1", headers=headers).status_code == 401
    assert wire.ask("GET", "/gate/commands", headers=headers).status_code == 401
    assert wire.ask("POST", "/ship", headers=headers).status_code == 200


@pytest.mark.parametrize("is_cache_away", [False, True])
def test_a_repeated_request_is_refused_with_and_without_the_cache(
    cast: Cast, wire: Wire, monkeypatch: pytest.MonkeyPatch, is_cache_away: bool
):
    if is_cache_away:
        monkeypatch.setattr(cache, "add", _raise(RedisIsAway("down")), raising=False)
    headers = sign_request(
        gate="mx1", method="POST", target="/ship", body=b"", secret=wire.mx.secret
    )
    assert wire.ask("POST", "/ship", headers=headers).status_code == 200
    assert wire.ask("POST", "/ship", headers=headers).status_code == 401


def test_a_repeat_at_another_process_is_found_by_the_cache(
    cast: Cast, wire: Wire, monkeypatch: pytest.MonkeyPatch
):
    headers = sign_request(
        gate="mx1", method="POST", target="/ship", body=b"", secret=wire.mx.secret
    )
    assert wire.ask("POST", "/ship", headers=headers).status_code == 200
    monkeypatch.setattr(gatekeeper, "_nonces", gatekeeper.NonceMemory())
    assert wire.ask("POST", "/ship", headers=headers).status_code == 401


def test_nonces_are_forgotten_after_their_time():
    memory = gatekeeper.NonceMemory()
    assert memory.add("a", 0.0)
    assert not memory.add("a", gatekeeper.REMEMBER_NONCE_S - 1.0)
    assert memory.add("a", gatekeeper.REMEMBER_NONCE_S + 61.0)


def test_a_gate_stores_nothing_for_a_client_it_does_not_serve(cast: Cast, wire: Wire):
    other = Wire(make_gate(cast, cast.globex, name="mx2"), wire.client)
    foreign = gateway_saw(cast.acme, "info@acme.example", source="gate:mx2")
    answer = other.ship(foreign).json()
    assert (answer["stored"], len(answer["refused"])) == (0, 1)
    assert rows_of(cast.acme) == []


def _raise(error: Exception):
    def raising(*_: Any, **__: Any) -> Any:
        raise error

    return raising


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
@pytest.mark.parametrize(
    ("place", "name"), [(gatekeeper, "find_gate"), (shipping, "record")], ids=["door", "rows"]
)
def test_a_database_that_is_away_answers_503(
    cast: Cast, wire: Wire, monkeypatch: pytest.MonkeyPatch, error, place, name
):
    monkeypatch.setattr(place, name, _raise(error))
    answer = wire.ship(gateway_saw(cast.acme, "info@acme.example"))
    assert answer.status_code == 503
    assert "gone" not in answer.content.decode()


def test_a_server_that_does_not_answer_gives_503(
    transactional_db: None, cast: Cast, wire: Wire, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as away:
        connection.close()
        away.setitem(connection.settings_dict, "PORT", free_port())
        assert wire.ship(gateway_saw(cast.acme, "info@acme.example")).status_code == 503
        assert wire.ask("GET", "/gate/commands?after=0").status_code == 503
    assert rows_of(cast.acme) == []


def test_a_batch_that_broke_half_way_comes_again_and_doubles_nothing(
    cast: Cast, wire: Wire, monkeypatch: pytest.MonkeyPatch
):
    lines = [
        gateway_saw(cast.acme, "info@acme.example"),
        gateway_saw(cast.globex, "info@globex.example"),
    ]
    calls = []

    def breaks_at_the_second(observations):
        calls.append(1)
        if len(calls) == 2:
            raise OperationalError("gone")
        return real(observations)

    real = record
    with monkeypatch.context() as patch:
        patch.setattr(shipping, "record", breaks_at_the_second)
        assert wire.ship(*lines).status_code == 503
    assert wire.ship(*lines).json() == {"stored": 1, "duplicates": 1, "refused": []}


def test_a_body_over_the_limit_is_refused_before_it_is_read(
    cast: Cast, wire: Wire, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ingest, "MAX_BATCH_BYTES", 100)
    assert wire.ask("POST", "/ship", b"x" * 101).status_code == 413


def test_only_post_ships(wire: Wire):
    assert wire.ask("GET", "/ship").status_code == 405


# Evidence

RAW = b"From: eve@evil.example\r\n\r\nhello\r\n"
DIGEST = sha256(RAW).hexdigest()


def target(tenant, digest: str = DIGEST) -> str:
    return f"/ship/evidence/{tenant.id}/{digest}"


def test_original_bytes_are_kept_once(cast: Cast, wire: Wire):
    answers = [wire.ask("PUT", target(cast.acme), RAW).status_code for _ in range(2)]
    assert answers == [201, 200]
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        row = Evidence.objects.get()
        assert (row.source, row.method, row.size_bytes) == ("gate:mx1", "smtp", len(RAW))
        assert read_evidence(tenant_id=cast.acme.id, digest=DIGEST) == RAW


def test_bytes_with_another_hash_are_refused_and_not_kept(cast: Cast, wire: Wire):
    assert wire.ask("PUT", target(cast.acme), RAW + b"!").status_code == 409
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        assert not Evidence.objects.exists()


@pytest.mark.parametrize("digest", ["x", "A" * 64, ".." + "0" * 62])
def test_a_digest_that_is_none_is_not_there(cast: Cast, wire: Wire, digest: str):
    assert wire.ask("PUT", target(cast.acme, digest), RAW).status_code == 409
    assert wire.ask("GET", target(cast.acme, digest)).status_code == 404


def test_evidence_of_a_client_that_the_gate_does_not_serve_is_not_there(cast: Cast, wire: Wire):
    other = Wire(make_gate(cast, cast.globex, name="mx2"), wire.client)
    assert wire.ask("PUT", target(cast.acme), RAW).status_code == 201
    foreign = [other.ask("GET", target(cast.acme)), other.ask("PUT", target(cast.acme), RAW)]
    missing = [
        other.ask("GET", "/ship/evidence/999999/" + DIGEST),
        other.ask("PUT", "/ship/evidence/999999/" + DIGEST, RAW),
    ]
    assert [answer.status_code for answer in foreign] == [404, 409]
    assert [answer.content for answer in foreign] == [answer.content for answer in missing]


def test_a_gate_gets_no_bytes_back_that_it_has_not_to_release(cast: Cast, wire: Wire):
    wire.ask("PUT", target(cast.acme), RAW)
    assert wire.ask("GET", target(cast.acme)).status_code == 404


def test_a_disk_that_is_full_answers_503_and_records_nothing(
    cast: Cast, wire: Wire, monkeypatch: pytest.MonkeyPatch
):
    full = OSError(28, "No space left on device")
    monkeypatch.setattr("incidents.evidence._write_durably", _raise(full))
    assert wire.ask("PUT", target(cast.acme), RAW).status_code == 503
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        assert not Evidence.objects.exists()
