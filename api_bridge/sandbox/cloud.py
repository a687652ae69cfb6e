"""The parts of the running cloud, as every door needs them."""

from dataclasses import dataclass, field

from api_bridge.sandbox.faults import Faults
from api_bridge.sandbox.google.authority import GoogleAuthority
from api_bridge.sandbox.identity import Authority
from api_bridge.sandbox.notifier import Notifier
from api_bridge.sandbox.store import Store


@dataclass(frozen=True, slots=True)
class Cloud:
    store: Store
    faults: Faults
    authority: Authority
    google: GoogleAuthority
    notifier: Notifier
    # When traces were asked for, by tenant and application, in Unix seconds.
    traces_asked: dict[tuple[str, str], list[int]] = field(default_factory=dict)
