import pytest

from seg_bridge.gate.signing import (
    HEADER_NONCE,
    HEADER_SIGNATURE,
    HEADER_TIMESTAMP,
    BadSignature,
    check_request,
    sign_request,
)

SECRET = b"s" * 32
REQUEST = {"method": "POST", "target": "/ship?a=1", "body": b"lines"}


def secret_of(gate: str) -> bytes | None:
    return SECRET if gate == "gate1" else None


def signed(**changes):
    return sign_request(gate="gate1", **{**REQUEST, **changes}, secret=SECRET, now=1000.0)


def check(headers, now=1000.0, **changes):
    return check_request(headers=headers, secret_of=secret_of, now=now, **{**REQUEST, **changes})


def test_a_signed_request_names_its_gate():
    headers = signed()
    found = check(headers)
    assert found.gate == "gate1"
    assert found.nonce == headers[HEADER_NONCE]


@pytest.mark.parametrize(
    "change", [{"method": "PUT"}, {"target": "/ship?a=2"}, {"body": b"other lines"}]
)
def test_a_request_changed_on_the_way_is_refused(change):
    with pytest.raises(BadSignature):
        check(signed(), **change)


@pytest.mark.parametrize("name", [HEADER_TIMESTAMP, HEADER_NONCE, HEADER_SIGNATURE])
@pytest.mark.parametrize("value", ["", "1001", "ü", "9" * 500, "-1", "²"])
def test_a_changed_header_is_refused(name, value):
    with pytest.raises(BadSignature):
        check({**signed(), name: value})


def test_another_gates_name_is_refused():
    with pytest.raises(BadSignature):
        check({**signed(), "X-Bailey-Gate": "gate2"})


@pytest.mark.parametrize("now", [1000.0 - 301, 1000.0 + 301])
def test_a_request_off_by_more_than_five_minutes_is_refused(now):
    with pytest.raises(BadSignature):
        check(signed(), now=now)


@pytest.mark.parametrize("now", [1000.0 - 299, 1000.0 + 299])
def test_a_clock_off_by_less_than_five_minutes_is_taken(now):
    assert check(signed(), now=now).timestamp == 1000
