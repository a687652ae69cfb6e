from dataclasses import dataclass

import pytest

from seg_bridge.models import Gate
from seg_bridge.services import create_gate
from seg_bridge.snapshot import KnownGate, find_gate
from tenants.audit import BAILEY
from tenants.scope import maintenance_scope
from tests.factories import Cast


@dataclass
class Mx:
    """A gate that serves both clients of the cast."""

    row: Gate
    secret: bytes
    name: str = "mx1"

    @property
    def known(self) -> KnownGate:
        found = find_gate(self.name)
        assert found is not None
        return found


def make_gate(cast: Cast, *tenants, name: str = "mx1") -> Mx:
    with maintenance_scope():
        row, secret = create_gate(
            provider=tenants[0].provider if tenants else cast.provider,
            name=name,
            hostname=f"{name}.keep.example",
            tenants=tenants,
            actor=BAILEY,
        )
    return Mx(row, bytes.fromhex(secret), name)


@pytest.fixture
def mx1(cast: Cast) -> Mx:
    return make_gate(cast, cast.acme, cast.globex)
