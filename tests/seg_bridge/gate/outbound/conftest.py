import base64
from dataclasses import replace

import pytest

from seg_bridge.gate.outbound.logins import hash_secret
from seg_bridge.gate.outbound.terms import OutboundTerms, SenderLimits
from tests.seg_bridge.gate.outbound.parts import HOST, LOGIN, SECRET, SubmissionGate
from tests.seg_bridge.gate.parts import tenant


@pytest.fixture(scope="session")
def hashed():
    return hash_secret(SECRET)


@pytest.fixture
def terms_for(sink, hashed):
    """Acme's terms: one host, one login, the sink as the next hop."""

    def make(**changes):
        limits = SenderLimits(**changes.pop("limits", {}))
        terms = OutboundTerms(
            next_hop=sink.hop, hosts=(HOST,), logins={LOGIN: hashed}, limits=limits
        )
        return replace(terms, **changes)

    return make


@pytest.fixture
def outbound_gate(tmp_path, terms_for):
    """``outbound_gate(limits=…, matrix=…)``: what the terms and what Acme's policy change."""

    def make(*others, settings=None, policy=None, **changes):
        acme = tenant("acme", 1, "127.0.0.1:9", outbound=terms_for(**changes), **(policy or {}))
        return SubmissionGate(
            tmp_path / "gate", acme, *others, submission=("127.0.0.1", 0), **(settings or {})
        )

    return make


@pytest.fixture(scope="session")
def rsa_key():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, base64.b64encode(public)
