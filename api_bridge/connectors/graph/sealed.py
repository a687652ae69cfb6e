"""Notifications with resource data: proofs checked, signature checked, and only then opened.

Contract read 2026-11-30: microsoft-graph-docs ``change-notifications-with-resource-data`` (RSA-OAEP
with SHA-1, HMAC-SHA256 over the ciphertext, AES-CBC with PKCS7 and the first 16 bytes of the key as
vector; the publisher's ``appid``).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.x509.oid import NameOID

from api_bridge.connectors.graph.mapping import ITEM_FIELDS, Json, list_of, text_of
from api_bridge.connectors.notices import NotGenuine, PushKey, SealedNotice

# Microsoft Graph's own application, the only one that may speak to us of changes.
PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
KEY_BITS = 2_048
CERTIFICATE_LIFE = timedelta(days=730)
CLOCKS_DIFFER_S = 300
MOST_TOKENS = 20
ISSUERS = ("https://sts.windows.net/{}/", "https://sts.chinacloudapi.cn/{}/")
SIGNED_WITH = ["RS256"]
# Graph refuses a body in ``$select``, and takes extended properties in ``$expand``: text, HTML as
# bytes, and their code page ([MS-OXPROPS] PidTagBody, PidTagHtml, PidTagInternetCodepage).  What
# is left out of a notice is read in the mailbox.
SELECTED = ",".join(name for name in ITEM_FIELDS.split(",") if name != "body")
TEXT, HTML, CODE_PAGE = 0x1000, 0x1013, 0x3FDE
EXPANDED = (
    "singleValueExtendedProperties($filter=id eq 'String 0x1000' or id eq 'Binary 0x1013'"
    " or id eq 'Integer 0x3FDE')"
)


def new_push_key(now: datetime) -> PushKey:
    """With a certificate signed by itself: nobody checks who issued it, only its key is used."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bailey push key")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + CERTIFICATE_LIFE)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    return PushKey(
        id=uuid.uuid4().hex,
        private_key_pem=private.decode(),
        certificate_pem=public.decode(),
        made_at=now,
    )


def certificate_text(key: PushKey) -> str:
    """As Graph takes it: base64 of the certificate alone."""
    certificate = x509.load_pem_x509_certificate(key.certificate_pem.encode())
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


def open_notice(
    notice: SealedNotice,
    keys: Sequence[PushKey],
    *,
    tenant_id: str,
    application: str,
    signing_key: Callable[[str], Any],
) -> dict[str, Any]:
    """The resource.  ``signing_key``: by key id, None for an unknown one.

    Raises ``NotGenuine``; what ``signing_key`` raises goes through.
    """
    _check_tokens(notice, tenant_id=tenant_id, application=application, signing_key=signing_key)
    wanted = notice.content.get("encryptionCertificateId")
    key = next((each for each in keys if each.id == wanted), None)
    if key is None:
        raise NotGenuine("It is sealed for a key that is none of ours.")
    data = json_of(decrypt(notice.content, key))
    if not isinstance(data, dict):
        raise NotGenuine("What was sealed is no object.")
    return data


def whole_message(data: Json) -> dict[str, Any] | None:
    """The message as a list would show it, None where the notice does not bring all of that."""
    told = _extended(data)
    body: dict[str, str] | None = None
    if html := _html(told):
        body = {"contentType": "html", "content": html}
    elif told.get(TEXT):
        body = {"contentType": "text", "content": told[TEXT]}
    is_whole = all(name in data for name in ("internetMessageHeaders", "hasAttachments", "from"))
    return {**data, "body": body} if body and is_whole else None


def _extended(data: Json) -> dict[int, str]:
    """Values by number; Graph may write the number without leading zeros."""
    found = {}
    for entry in list_of(data, "singleValueExtendedProperties"):
        try:
            found[int(text_of(entry, "id").rpartition(" ")[2], 16)] = text_of(entry, "value")
        except ValueError:
            continue
    return found


def _html(told: Mapping[int, str]) -> str:
    """ "" where there is none, or where it cannot be read surely."""
    try:
        raw = base64.b64decode(told.get(HTML, ""), validate=True)
        return raw.decode(_codec(int(told.get(CODE_PAGE, ""))))
    except (ValueError, LookupError):
        return ""


def _codec(code_page: int) -> str:
    if code_page == 65_001:
        return "utf-8"
    if 28_591 <= code_page <= 28_605:
        return f"iso8859-{code_page - 28_590}"
    return {20_127: "ascii", 20_866: "koi8-r", 50_220: "iso2022_jp"}.get(
        code_page, f"cp{code_page}"
    )


def decrypt(content: Mapping[str, Any], key: PushKey) -> bytes:
    """Raises ``NotGenuine``."""
    wrapped, sealed, signature = (
        _bytes_of(content, name) for name in ("dataKey", "data", "dataSignature")
    )
    private = serialization.load_pem_private_key(key.private_key_pem.encode(), None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise NotGenuine("Our key is no RSA key.")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - Graph's
    try:
        once = private.decrypt(wrapped, oaep)
    except ValueError as error:
        raise NotGenuine("Its key does not open.") from error
    if not hmac.compare_digest(hmac.digest(once, sealed, "sha256"), signature):
        raise NotGenuine("Its signature does not fit.")
    try:
        cipher = Cipher(algorithms.AES(once), modes.CBC(once[:16])).decryptor()
        padded = cipher.update(sealed) + cipher.finalize()
        unpadder = PKCS7(128).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError as error:
        raise NotGenuine("It does not open.") from error


def json_of(text: bytes) -> Any:
    """Raises ``NotGenuine``."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotGenuine("What was sealed is no JSON.") from error


def _check_tokens(
    notice: SealedNotice, *, tenant_id: str, application: str, signing_key: Callable[[str], Any]
) -> None:
    """One of them must prove this very tenant and application; a delivery may also carry those of
    others, which prove nothing here.  Raises ``NotGenuine``.
    """
    why = "It brings no proof."
    for token in list(notice.tokens)[:MOST_TOKENS]:
        try:
            key = signing_key(str(jwt.get_unverified_header(token).get("kid", "")))
            if key is None:
                raise NotGenuine("Its proof is signed with an unknown key.")
            claims = jwt.decode(
                token,
                key,
                SIGNED_WITH,
                audience=application,
                issuer=[issuer.format(tenant_id) for issuer in ISSUERS],
                # Whether it has ended is asked of the time at which it came, below.
                options={
                    "require": ["exp", "aud", "iss"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            _check_claims(claims, notice.came_at)
        except NotGenuine as error:
            why = str(error)
        except jwt.PyJWTError as error:
            why = f"Its proof does not hold: {type(error).__name__}."
        else:
            return
    raise NotGenuine(why)


def _check_claims(claims: Mapping[str, Any], came_at: datetime) -> None:
    """Raises ``NotGenuine``."""
    if claims.get("appid") != PUBLISHER:
        raise NotGenuine("Its proof is another application's, not Graph's publisher's.")
    at = came_at.astimezone(UTC).timestamp()
    begins, ends = claims.get("nbf", 0), claims["exp"]
    if not isinstance(begins, int | float) or not isinstance(ends, int | float):
        raise NotGenuine("Its proof does not say when it holds.")
    if not begins - CLOCKS_DIFFER_S <= at < ends + CLOCKS_DIFFER_S:
        raise NotGenuine("Its proof had ended when it came.")


def _bytes_of(content: Mapping[str, Any], name: str) -> bytes:
    text = content.get(name)
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError) as error:
        raise NotGenuine("It is not in base64.") from error
