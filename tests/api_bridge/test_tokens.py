"""Tokens: fetched once, shared, replaced when refused; an error says what a person must do."""

import json
import threading
import time

import pytest
import requests

from api_bridge.cache import LocalCache
from api_bridge.connectors import Connection
from api_bridge.errors import AuthExpired, Rejected, Temporary, Unexpected
from api_bridge.tokens import PinnedHttp, TokenSource, check_connection

TENANT = "11111111-2222-3333-4444-555555555555"
AUTHORITY = "https://login.example"


class Answer:
    def __init__(self, status_code, data):
        self.status_code = status_code
        self.text = json.dumps(data)
        self.headers = {}


class Authority:
    """A token endpoint in memory; ``answer`` replaces the next token."""

    def __init__(self):
        self.posts = []
        self.discoveries = 0
        self.answer = None
        self.life_s = 3600
        self.lag_s = 0.0

    def get(self, url, **kwargs):
        self.discoveries += 1
        base = f"{AUTHORITY}/{TENANT}"
        return Answer(
            200,
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
            },
        )

    def post(self, url, **kwargs):
        time.sleep(self.lag_s)
        self.posts.append(kwargs["data"])
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        token = f"token-{len(self.posts)}"
        data = {"access_token": token, "token_type": "Bearer", "expires_in": self.life_s}
        return Answer(200, data)

    def close(self):
        pass


def connection(**changes):
    fields = {
        "cloud_tenant_id": TENANT,
        "client_id": "app",
        "client_secret": "s3cret",
        "authority_url": AUTHORITY,
        "api_url": "https://graph.example",
    }
    return Connection(**(fields | changes))


@pytest.fixture
def authority():
    return Authority()


def test_a_token_is_fetched_once(authority):
    source = TokenSource(connection(), LocalCache(), http=authority)
    assert {source.bearer() for _ in range(5)} == {"token-1"}
    assert len(authority.posts) == 1
    assert authority.posts[0]["scope"].split()[0] == "https://graph.example/.default"


def test_many_threads_fetch_one_token(authority):
    authority.lag_s = 0.05
    source = TokenSource(connection(), LocalCache(), http=authority)
    got = []
    threads = [threading.Thread(target=lambda: got.append(source.bearer())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (set(got), len(authority.posts)) == ({"token-1"}, 1)


def test_many_processes_fetch_one_token(authority):
    authority.lag_s = 0.05
    cache, got = LocalCache(), []

    def process():
        got.append(TokenSource(connection(), cache, http=authority).bearer())

    threads = [threading.Thread(target=process) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (set(got), len(authority.posts)) == ({"token-1"}, 1)


def test_a_refused_token_is_replaced_and_the_new_one_shared(authority):
    cache = LocalCache()
    here = TokenSource(connection(), cache, http=authority)
    there = TokenSource(connection(), cache, http=authority)
    old = here.bearer()
    assert there.bearer() == old
    assert here.bearer(refused=old) == "token-2"
    assert there.bearer(refused=old) == "token-2"
    assert len(authority.posts) == 2


def test_a_token_is_replaced_minutes_before_its_end(authority):
    now = [0.0]
    cache = LocalCache()
    TokenSource(connection(), cache, http=authority, clock=lambda: now[0]).bearer()
    later = TokenSource(connection(), cache, http=authority, clock=lambda: now[0])
    now[0] = 3600 - 400
    assert later.bearer() == "token-1"
    now[0] = 3600 - 290
    assert later.bearer() == "token-2"


def test_two_tenants_never_share_a_token(authority):
    cache = LocalCache()
    other = TENANT.replace("1", "9")
    TokenSource(connection(), cache, http=authority).bearer()
    TokenSource(connection(cloud_tenant_id=other), cache, http=authority).bearer()
    assert len(authority.posts) == 2


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("7000215", "bad_credentials"),
        ("7000222", "credentials_expired"),
        ("700016", "app_missing"),
        ("65001", "needs_consent"),
        ("90002", "tenant_gone"),
        ("12345", "refused"),
    ],
)
def test_an_error_says_what_a_person_must_do(authority, number, code):
    data = {"error": "invalid_request", "error_description": f"AADSTS{number}: s3cret was wrong"}
    authority.answer = Answer(400, data)
    with pytest.raises(AuthExpired) as caught:
        TokenSource(connection(), LocalCache(), http=authority).bearer()
    assert caught.value.code == code
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "answer", [Answer(503, {}), requests.ConnectionError("down"), requests.Timeout("slow")]
)
def test_an_authority_that_is_down_is_temporary(authority, answer):
    authority.answer = answer
    with pytest.raises(Temporary) as caught:
        TokenSource(connection(), LocalCache(), http=authority).bearer()
    assert caught.value.__cause__ is None


def test_an_unreadable_token_answer_is_temporary_and_not_logged(authority, caplog):
    authority.answer = Answer(200, {})
    authority.answer.text = "half a tok-en"
    with pytest.raises(Temporary):
        TokenSource(connection(), LocalCache(), http=authority).bearer()
    assert "tok-en" not in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        {"cloud_tenant_id": "common"},
        {"cloud_tenant_id": "organizations"},
        {"cloud_tenant_id": f"{TENANT}/../x"},
        {"client_id": ""},
        {"client_secret": ""},
        {"private_key_pem": "k", "certificate_pem": "c"},
        {"authority_url": "https://evil.example"},
        {"api_url": "http://graph.example"},
    ],
)
def test_wrong_settings_are_refused(changes):
    with pytest.raises(Rejected):
        check_connection(connection(**changes), {"login.example", "graph.example"})


def test_right_settings_are_taken():
    check_connection(connection(), {"login.example", "graph.example"})


def test_secrets_are_not_in_the_repr():
    shown = repr(connection(client_secret="s3cret", private_key_pem="p3m"))
    assert "s3cret" not in shown
    assert "p3m" not in shown


def test_a_token_endpoint_on_another_host_gets_no_secret():
    with pytest.raises(Unexpected):
        PinnedHttp(AUTHORITY, "").post("https://evil.example/token", data={"client_secret": "x"})
