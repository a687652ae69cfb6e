"""The one way out: what is repeated, what is refused, and where a token may go."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from typing_extensions import override

from api_bridge.errors import (
    AccessDenied,
    AuthExpired,
    NotFound,
    RateLimited,
    Rejected,
    Temporary,
    Unexpected,
)
from api_bridge.http import (
    ATTEMPTS,
    OutgoingClient,
    check_outgoing,
    error_code,
    retry_after_s,
)
from api_bridge.limits import LocalLimits

BASE = "https://graph.example/v1.0"


class Server:
    """Answers one after the other and remembers what was asked; the last answer stays."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Time:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def time():
    return Time()


def client_of(server, time, tokens=None):
    fresh = iter(tokens or ["first", "second", "third"])
    kept: list[str] = []

    def authorize(refused):
        if not kept or kept[-1] == refused:
            kept.append(next(fresh))
        return kept[-1]

    return OutgoingClient(
        BASE,
        authorize=authorize,
        limits=LocalLimits(wait_s=10, clock=time, sleep=time.sleep),
        allowed_hosts={"graph.example"},
        transport=httpx.MockTransport(server),
        sleep=time.sleep,
        clock=time,
    )


def refused(status, code="", **headers):
    return httpx.Response(status, json={"error": {"code": code}}, headers=headers)


def ok(**data):
    return httpx.Response(200, json=data)


def test_a_token_that_is_refused_is_replaced_once(time):
    server = Server(refused(401), ok(a=1))
    assert client_of(server, time).call("POST", "/x", slots={"s": 1}).json() == {"a": 1}
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer first", "Bearer second"]


def test_two_refused_tokens_need_a_person(time):
    server = Server(refused(401))
    with pytest.raises(AuthExpired):
        client_of(server, time).call("GET", "/x", slots={"s": 1})
    assert len(server.requests) == 2


def test_a_429_is_waited_out_even_for_a_write(time):
    server = Server(refused(429, **{"Retry-After": "4"}), ok())
    client_of(server, time).call("POST", "/x", slots={"s": 1})
    assert len(server.requests) == 2
    assert time.now >= 4


def test_a_429_with_a_long_wait_is_left_to_the_caller_and_pauses_its_name(time):
    server = Server(refused(429, **{"Retry-After": "300"}), ok())
    client = client_of(server, time)
    with pytest.raises(RateLimited) as caught:
        client.call("GET", "/x", slots={"s": 1})
    assert caught.value.retry_after_s == pytest.approx(300)
    with pytest.raises(RateLimited):
        client.call("GET", "/x", slots={"s": 1})
    assert len(server.requests) == 1
    assert client.call("GET", "/x", slots={"other": 1}).status == 200


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        ("4", 4),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("999999", 86_400),
        ("9" * 5_000, 86_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_how_long_a_host_may_keep_us_waiting(said, wait_s):
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert retry_after_s({"retry-after": said}, now) == wait_s


def test_a_retry_after_that_is_always_one_is_not_believed(time):
    """Trap 7: the own back-off grows all the same."""
    server = Server(*[refused(429, **{"Retry-After": "1"})] * 3, ok(a=1))
    client_of(server, time).call("GET", "/x", slots={"s": 1})
    assert time.now > 3


def test_a_host_that_is_away_is_not_asked_again_at_once(time):
    server = Server(refused(503))
    client = client_of(server, time)
    for _ in range(3):
        with pytest.raises(Temporary) as caught:
            client.call("GET", "/x", slots={"s": 1})
    assert caught.value.code == "circuit_open"
    assert not caught.value.may_have_happened
    assert len(server.requests) == 6
    time.sleep(caught.value.retry_after_s)
    with pytest.raises(Temporary):
        client.call("GET", "/x", slots={"s": 1})
    assert len(server.requests) == 7


class BrokenOff(httpx.SyncByteStream):
    @override
    def __iter__(self) -> Iterator[bytes]:
        yield b"{"
        raise httpx.RemoteProtocolError("cut")


def test_a_page_that_always_breaks_off_shuts_nobody_out(time):
    """Groups that cannot be listed must not stop the mail of the same connection."""
    broken = [httpx.Response(200, stream=BrokenOff()) for _ in range(3 * ATTEMPTS)]
    server = Server(*broken, ok(a=1))
    client = client_of(server, time)
    for _ in range(3):
        with pytest.raises(Temporary) as caught:
            client.call("GET", "/groups", slots={"s": 1})
        assert caught.value.code != "circuit_open"
    assert client.call("GET", "/x", slots={"s": 1}).json() == {"a": 1}


def test_a_read_is_repeated_after_a_lost_answer_and_a_503(time):
    server = Server(httpx.ReadTimeout("slow"), refused(503), ok(a=1))
    assert client_of(server, time).call("GET", "/x", slots={"s": 1}).json() == {"a": 1}


@pytest.mark.parametrize("loss", [httpx.ReadTimeout("x"), httpx.RemoteProtocolError("cut")])
def test_a_write_whose_answer_was_lost_is_never_repeated(time, loss):
    server = Server(loss, ok())
    with pytest.raises(Temporary) as caught:
        client_of(server, time).call("POST", "/x", slots={"s": 1})
    assert caught.value.may_have_happened
    assert len(server.requests) == 1


def test_a_write_that_never_left_is_repeated(time):
    server = Server(httpx.ConnectError("no route"), ok())
    assert client_of(server, time).call("POST", "/x", slots={"s": 1}).status == 200


def test_a_write_that_met_a_503_may_have_happened(time):
    with pytest.raises(Temporary) as caught:
        client_of(Server(refused(503)), time).call("POST", "/x", slots={"s": 1})
    assert caught.value.may_have_happened


def test_giving_up_keeps_the_error_of_the_last_try(time):
    server = Server(refused(503, "ServiceNotAvailable"))
    with pytest.raises(Temporary) as caught:
        client_of(server, time).call("GET", "/x", slots={"s": 1})
    assert (caught.value.status, caught.value.code) == (503, "ServiceNotAvailable")
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(403, "ErrorAccessDenied"), AccessDenied),
        (refused(404, "ErrorItemNotFound"), NotFound),
        (refused(410, "syncStateNotFound"), NotFound),
        (refused(400, "InefficientFilter"), Rejected),
        (refused(500, "ErrorMimeContentConversionFailed"), Rejected),
        (httpx.Response(302, headers={"Location": "https://evil.example/"}), Unexpected),
    ],
)
def test_what_will_not_change_is_asked_once(time, answer, error):
    server = Server(answer)
    with pytest.raises(error):
        client_of(server, time).call("GET", "/x", slots={"s": 1})
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1.0/users",
        "http://graph.example/v1.0/users",
        "https://graph.example:8443/v1.0/users",
        "https://graph.example@evil.example/v1.0/users",
        "https://graph.example.evil.example/v1.0/users",
        "https://graph.example/beta/users",
        "https://graph.example/v1.0/../beta/users",
        "https://graph.example/v1.0/%2e%2e/beta",
        "https://[broken/v1.0/",
    ],
)
def test_a_link_to_another_place_never_gets_our_token(time, link):
    server = Server(ok())
    with pytest.raises(Unexpected):
        client_of(server, time).call("GET", link, slots={"s": 1})
    assert server.requests == []


def test_a_link_of_our_own_host_is_followed(time):
    server = Server(ok(a=2))
    link = "https://GRAPH.example:443/v1.0/users?$skiptoken=x"
    assert client_of(server, time).call("GET", link, slots={"s": 1}).json() == {"a": 2}


def test_an_answer_above_the_limit_is_cut_off(time):
    server = Server(httpx.Response(200, content=b"x" * 100))
    with pytest.raises(Rejected) as caught:
        client_of(server, time).call("GET", "/x", slots={"s": 1}, limit_bytes=99)
    assert caught.value.code == "too_big"


def test_a_body_that_is_not_whole_is_temporary(time):
    server = Server(httpx.Response(200, content=b'{"value": ['))
    with pytest.raises(Temporary):
        client_of(server, time).call("GET", "/x", slots={"s": 1}).json()


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error": 5}', b'{"error": {"code": 7}}', b"[" * 100_000]
)
def test_any_error_body_has_a_code_or_none(body):
    assert error_code(body) == ""


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example",
        "http://graph.example",
        "https://graph.example:8443",
        "https://user@graph.example",
        "file:///etc/passwd",
        "",
    ],
)
def test_only_allowed_hosts_are_called(url):
    with pytest.raises(Rejected):
        check_outgoing(url, {"graph.example"})


def test_a_host_with_its_port_can_be_allowed():
    check_outgoing("https://127.0.0.1:8443/x", {"127.0.0.1:8443"})
    with pytest.raises(Rejected):
        check_outgoing("https://127.0.0.1/x", {"127.0.0.1:8443"})


def test_nothing_of_a_request_is_in_an_error(time):
    with pytest.raises(Temporary) as caught:
        client_of(Server(refused(503)), time, ["tok-en"]).call(
            "POST", "/x", slots={"s": 1}, body={"a": "private"}
        )
    assert "tok-en" not in repr(caught.value)
    assert "private" not in str(caught.value)
