"""The original bytes that a command speaks of: the gate's own, else the console's, hash checked."""

from __future__ import annotations

from seg_bridge.gate.ingest import IngestClient, IngestError
from seg_bridge.gate.originals import Originals, sha256_hex


class NoOriginal(Exception):
    """The text says why, for a person.  ``is_temporary``: asking again may help."""

    def __init__(self, text: str, *, is_temporary: bool = False) -> None:
        super().__init__(text)
        self.is_temporary = is_temporary


async def fetch_original(
    originals: Originals, client: IngestClient, *, tenant_id: int, ulid: str, digest: str
) -> bytes:
    """Raises ``NoOriginal``."""
    raw = originals.read(tenant_id, ulid)
    if raw is not None and sha256_hex(raw) == digest:
        return raw
    try:
        fetched = (await client.ask("GET", f"/ship/evidence/{tenant_id}/{digest}")).content
    except IngestError as error:
        # Every other status is ingest's word that this gate does not get them.
        is_temporary = error.status is None or error.status >= 500
        text = f"the original bytes are not to be had: {error}"
        raise NoOriginal(text, is_temporary=is_temporary) from error
    if sha256_hex(fetched) != digest:
        raise NoOriginal("the stored bytes are not the ones that the command speaks of")
    return fetched
