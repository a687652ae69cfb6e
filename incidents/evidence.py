"""The evidence store: original bytes by their hash, encrypted with the client's own key.

Files lie in ``EVIDENCE_DIR/<tenant id>/<first two digits>/<sha256>``; the row in the database says
where they came from.  Bytes are durable before the row is committed.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from django.conf import settings
from django.db import connection

from incidents.models import Evidence
from tenants.errors import NotThere
from tenants.models import Tenant
from tenants.secrets import open_data_key, seal, unseal


def _path(tenant_id: int, digest: str) -> Path:
    return Path(settings.EVIDENCE_DIR) / str(tenant_id) / digest[:2] / digest


def _place(tenant_id: int, digest: str) -> str:
    return f"evidence/{tenant_id}/{digest}"


def data_key(tenant_id: int) -> bytes:
    """The client's own key for bytes at rest.  Needs the client's scope."""
    tenant = Tenant.objects.get(id=tenant_id)
    return open_data_key(bytes(tenant.data_key), tenant.slug)


def _write_durably(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f"{path.name}.{os.getpid()}.new")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def store_evidence(*, tenant_id: int, raw: bytes, source: str, method: str) -> str:
    """Keep these bytes; answers their sha256.  Keeping the same bytes twice keeps them once."""
    digest = sha256(raw).hexdigest()
    hold_bytes(tenant_id, digest)
    path = _path(tenant_id, digest)
    if not path.exists():
        sealed = seal(raw, place=_place(tenant_id, digest), key=data_key(tenant_id))
        _write_durably(path, sealed)
    Evidence.objects.get_or_create(
        tenant_id=tenant_id,
        sha256=digest,
        defaults={"size_bytes": len(raw), "source": source, "method": method},
    )
    return digest


def remove_evidence(*, tenant_id: int, digest: str) -> None:
    """The bytes are no longer kept.  The row goes with the commit; a file that is gone before does
    no harm: its row says that it is no longer in the store until the next try.
    """
    hold_bytes(tenant_id, digest)
    _path(tenant_id, digest).unlink(missing_ok=True)
    Evidence.objects.filter(tenant_id=tenant_id, sha256=digest).delete()


def hold_bytes(tenant_id: int, digest: str) -> None:
    """Until the commit nobody else stores or removes these bytes: what comes in while an old copy
    goes out must be written anew.
    """
    with connection.cursor() as cursor:
        key = f"evidence/{tenant_id}/{digest}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])


def read_evidence(*, tenant_id: int, digest: str) -> bytes:
    """The original bytes.  Raises ``NotThere``, or ``SecretDoesNotOpen`` on a changed file."""
    if not Evidence.objects.filter(tenant_id=tenant_id, sha256=digest).exists():
        raise NotThere("The original is not kept.")
    try:
        sealed = _path(tenant_id, digest).read_bytes()
    except FileNotFoundError as error:
        raise NotThere("The original is no longer in the store.") from error
    return unseal(sealed, place=_place(tenant_id, digest), key=data_key(tenant_id))
