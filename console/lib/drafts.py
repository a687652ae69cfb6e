"""Files of a comment between its preview and the second yes, which no form can carry.

They lie in the cache for an hour, sealed with the client's key; nobody but their author, and only
for the same incident, gets them back.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from django.core.cache import cache
from redis.exceptions import RedisError

from incidents.evidence import data_key
from incidents.models import Incident
from incidents.services.attachments import NewFile
from tenants.errors import WrongInput
from tenants.models import Person
from tenants.secrets import SecretDoesNotOpen, seal, unseal

KEPT_S = 3600
_GONE = "The files are not kept any more. Write the comment again and add them anew."


def keep_files(*, incident: Incident, person: Person, files: Sequence[NewFile]) -> list[str]:
    """A token for each file, for ``take_files``.  Raises ``WrongInput`` where the cache is away."""
    key = data_key(incident.tenant_id) if files else b""
    tokens = []
    for file in files:
        token, name = secrets.token_urlsafe(24), file.name.encode()
        plain = len(name).to_bytes(2, "big") + name + file.content
        sealed = seal(plain, place=_place(incident, person, token), key=key)
        try:
            cache.set(_key(incident, token), sealed, timeout=KEPT_S)
        except RedisError as error:
            raise WrongInput("Files cannot be shown before they are sent just now.") from error
        tokens.append(token)
    return tokens


def take_files(*, incident: Incident, person: Person, tokens: Sequence[str]) -> list[NewFile]:
    """Raises ``WrongInput`` where one is not there any more, or is not hers."""
    key = data_key(incident.tenant_id) if tokens else b""
    return [_take(incident, person, token, key) for token in tokens]


def _take(incident: Incident, person: Person, token: str, key: bytes) -> NewFile:
    try:
        sealed = cache.get(_key(incident, token))
        plain = unseal(sealed, place=_place(incident, person, token), key=key) if sealed else None
    except (RedisError, SecretDoesNotOpen) as error:
        raise WrongInput(_GONE) from error
    if plain is None:
        raise WrongInput(_GONE)
    end = 2 + int.from_bytes(plain[:2], "big")
    return NewFile(plain[2:end].decode(), plain[end:])


def _key(incident: Incident, token: str) -> str:
    return f"tenant.{incident.tenant_id}.draft.{token[:64]}"


def _place(incident: Incident, person: Person, token: str) -> str:
    return f"draft/{incident.tenant_id}/{incident.id}/{person.id}/{token}"
