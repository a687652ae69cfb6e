"""Microsoft's signing keys: kept, asked for anew where one is unknown, and not too often."""

import json
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from api_bridge.cache import LocalCache
from api_bridge.connectors.graph.signing_keys import ASKED_AGAIN_AFTER_S, SigningKeys
from api_bridge.errors import Temporary
from tests.api_bridge.connectors.fake import CONNECTION, Time

PUBLIC = rsa.generate_private_key(65537, 2048).public_key()


def a_key(kid: str) -> dict[str, Any]:
    return {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(PUBLIC)), "kid": kid, "use": "sig"}


class Authority:
    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.asked: list[str] = []

    def get(self, url: str, **_: Any) -> requests.Response:
        self.asked.append(url)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        made = requests.Response()
        made.status_code, text = answer if isinstance(answer, tuple) else (200, answer)
        made._content = text.encode()
        return made

    def post(self, url: str, **_: Any) -> requests.Response:
        raise AssertionError(url)

    def close(self) -> None:
        pass


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def keys(authority: Authority, time: Time) -> SigningKeys:
    return SigningKeys(CONNECTION, LocalCache(time), http=authority)


def said(*kids: str) -> str:
    return json.dumps({"keys": [a_key(kid) for kid in kids]})


def test_keys_are_kept_and_a_new_one_is_asked_for(keys, authority, time):
    authority.answers = [said("a"), said("a", "b")]
    assert keys.find("a") == PUBLIC
    assert keys.find("a") == PUBLIC
    assert authority.asked == ["https://login.example/common/discovery/v2.0/keys"]
    assert keys.find("b") is None  # whoever makes up key ids does not make us call
    time.now += ASKED_AGAIN_AFTER_S + 1
    assert keys.find("b") == PUBLIC
    assert len(authority.asked) == 2


@pytest.mark.parametrize(
    "answer", [(503, "{}"), requests.ConnectionError(), "x" * 300_000], ids=["503", "away", "big"]
)
def test_an_authority_that_does_not_answer_is_asked_again_the_next_time(keys, authority, answer):
    authority.answers = [answer, said("a")]
    with pytest.raises(Temporary):
        keys.find("a")
    assert keys.find("a") == PUBLIC


@pytest.mark.parametrize(
    "text",
    ["[]", "{", '{"keys": 7}', '{"keys": [7]}', '{"keys": [{"kid": "a", "kty": "RSA"}]}',
     '{"keys": [{"kid": "a", "kty": "oct", "k": "AAAA"}]}'],
)  # fmt: skip
def test_what_is_no_key_is_none(keys, authority, text):
    authority.answers = [text]
    assert keys.find("a") is None
