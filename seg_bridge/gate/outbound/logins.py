"""Secrets of submission logins: made here, shown once, kept as salted hashes (scrypt, RFC 7914).

The form is ``scrypt$<log2 n>$<r>$<p>$<salt>$<hash>``, salt and hash in hex.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

_LOG_N, _R, _P = 14, 8, 1  # 16 MiB and some 40 ms for each check
_SALT_BYTES, _HASH_BYTES = 16, 32
_SECRET_BYTES = 24
_FORM = re.compile(r"scrypt\$(\d{1,2})\$(\d{1,2})\$(\d{1,2})\$([0-9a-f]{32})\$([0-9a-f]{64})\Z")


def new_secret() -> str:
    """192 bits in 32 characters that need no quoting."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def hash_secret(secret: str) -> str:
    salt = secrets.token_bytes(_SALT_BYTES)
    made = _scrypt(secret, salt, _LOG_N, _R, _P)
    return f"scrypt${_LOG_N}${_R}${_P}${salt.hex()}${made.hex()}"


def check_secret(secret: str, hashed: str) -> bool:
    """Takes as long for a wrong secret as for a right one.  Raises ``ValueError`` for no hash."""
    log_n, r, p, salt, wanted = check_form(hashed)
    return hmac.compare_digest(_scrypt(secret, salt, log_n, r, p), wanted)


def check_form(hashed: str) -> tuple[int, int, int, bytes, bytes]:
    """Raises ``ValueError``; costs beyond what we make ourselves are refused as well."""
    match = _FORM.match(hashed)
    if match is None:
        raise ValueError("not a hash of a login's secret")
    log_n, r, p = int(match[1]), int(match[2]), int(match[3])
    if not (10 <= log_n <= 17 and 1 <= r <= 8 and p == 1):
        raise ValueError("a login's hash costs too much or too little")
    return log_n, r, p, bytes.fromhex(match[4]), bytes.fromhex(match[5])


# Who asks for a login that does not exist waits as long as for one that does.
NO_LOGIN = f"scrypt${_LOG_N}${_R}${_P}${'00' * _SALT_BYTES}${'00' * _HASH_BYTES}"


def _scrypt(secret: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        secret.encode("utf-8", "surrogateescape"),
        salt=salt,
        n=2**log_n,
        r=r,
        p=p,
        maxmem=2**27 + 2**26,
        dklen=_HASH_BYTES,
    )
