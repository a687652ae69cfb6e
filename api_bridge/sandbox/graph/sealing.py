"""What a notification with resource data carries, sealed for the subscriber as Graph seals it.

Source: learn.microsoft.com/graph/change-notifications-with-resource-data and
outlook-change-notifications-overview, read 2026-11-30.
"""

import base64
import binascii
import hmac
import json
import os
import re
import sqlite3
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from api_bridge.sandbox import ids, mime
from api_bridge.sandbox.graph.call import bad_request
from api_bridge.sandbox.graph.message_json import PROPERTIES, headers_of
from api_bridge.sandbox.odata import BadQuery, read_select
from api_bridge.sandbox.store import Store

FEWEST_BITS, MOST_BITS = 2_048, 4_096
LARGEST_CERTIFICATE_ID = 128
NEVER_TOLD = {"body", "uniquebody"}
OPTIONS = {"$select", "$filter", "$expand"}
_EXPANDED = re.compile(r"singleValueExtendedProperties\(\$filter=(.+)\)", re.IGNORECASE)
_ID = re.compile(r"id eq '((?:String|Binary|Integer) 0x[0-9A-Fa-f]{1,4})'", re.IGNORECASE)
TEXT, HTML, CODE_PAGE = 0x1000, 0x1013, 0x3FDE
# What needs more than the message's own row is not told by the sandbox.
_NEEDS_A_CALL = {"body", "uniqueBody", "internetMessageHeaders", "webLink", "id"}


def read_sealing(body: dict[str, Any]) -> tuple[str, str, str] | None:
    """Selected properties, certificate and its id of a wanted subscription; None: it is to tell
    nothing but that something changed.  Raises GraphError.
    """
    if body.get("includeResourceData") is not True:
        return None
    return (_selected(body), *read_certificate(body))


def read_certificate(body: dict[str, Any]) -> tuple[str, str]:
    """Raises GraphError."""
    text, certificate_id = body.get("encryptionCertificate"), body.get("encryptionCertificateId")
    if not isinstance(text, str) or not isinstance(certificate_id, str) or not certificate_id:
        raise bad_request("encryptionCertificate and encryptionCertificateId are needed.",
                          "InvalidRequest")  # fmt: skip
    if len(certificate_id) > LARGEST_CERTIFICATE_ID:
        raise bad_request("encryptionCertificateId is longer than 128 characters.",
                          "InvalidRequest")  # fmt: skip
    try:
        _public_key(text)
    except (ValueError, binascii.Error) as error:
        raise bad_request(f"encryptionCertificate cannot be used: {error}",
                          "InvalidRequest") from error  # fmt: skip
    return text, certificate_id


def _selected(body: dict[str, Any]) -> str:
    query = str(body.get("resource", "")).partition("?")[2]
    options = dict(parse_qsl(query))
    chosen = options.get("$select", "")
    if not chosen:
        raise bad_request("A subscription with resource data needs $select.", "InvalidRequest")
    if set(options) - OPTIONS:
        raise bad_request(f"Not supported here: {min(set(options) - OPTIONS)}.", "InvalidRequest")
    try:
        names = read_select(chosen, list(PROPERTIES), "microsoft.graph.message")
    except BadQuery as error:
        raise bad_request(str(error), "InvalidRequest") from error
    if NEVER_TOLD & {name.lower() for name in names}:
        raise bad_request("The body cannot be part of a notification.", "InvalidRequest")
    return ";".join([",".join(names), *_extended(options.get("$expand", ""))])


def _extended(text: str) -> list[str]:
    """Ids of extended properties; nothing else can be expanded.  Raises GraphError."""
    if not text:
        return []
    found = _EXPANDED.fullmatch(text)
    asked = re.split(r" or ", found[1]) if found else []
    ids_of = [_ID.fullmatch(each.strip()) for each in asked]
    if not asked or not all(ids_of):
        raise bad_request("$expand other than singleValueExtendedProperties is not supported.",
                          "ExtensionError")  # fmt: skip
    return [each[1] for each in ids_of if each]


def sealed(
    store: Store, sealing: sqlite3.Row, message: sqlite3.Row, is_immutable: bool
) -> dict[str, str]:
    """The ``encryptedContent`` of one notification."""
    mailbox = message["mailbox"]
    shown: dict[str, Any] = {
        "@odata.type": "#microsoft.graph.message",
        "id": ids.immutable_id(mailbox, message["number"])
        if is_immutable
        else ids.normal_id(mailbox, message["serial"]),
    }
    names, *extended = sealing["selected"].split(";")
    for name in names.split(","):
        if name == "internetMessageHeaders":
            shown[name] = headers_of(store, message)
        elif name not in _NEEDS_A_CALL:
            shown[name] = PROPERTIES[name](None, message)  # type: ignore[arg-type]  # read from the row alone
    if told := [each for each in map(partial(_property, message), extended) if each]:
        shown["singleValueExtendedProperties"] = told
    return seal(json.dumps(shown).encode(), sealing["certificate"], sealing["certificate_id"])


def _property(message: sqlite3.Row, asked: str) -> dict[str, str] | None:
    """None for one that the message does not have."""
    is_html, content = message["body_type"] == "html", message["body"]
    kind, _, digits = asked.partition(" ")
    number = int(digits, 16)
    value = {
        TEXT: mime.text_of_html(content) if is_html else content,
        HTML: base64.b64encode(content.encode()).decode() if is_html else "",
        CODE_PAGE: "65001",
    }.get(number, "")
    # Graph writes the number without leading zeros.
    return {"id": f"{kind} 0x{number:x}", "value": value} if value else None


def seal(plain: bytes, certificate: str, certificate_id: str) -> dict[str, str]:
    once = os.urandom(32)
    padder = PKCS7(128).padder()
    padded = padder.update(plain) + padder.finalize()
    cipher = Cipher(algorithms.AES(once), modes.CBC(once[:16])).encryptor()
    data = cipher.update(padded) + cipher.finalize()
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - Graph's
    der = base64.b64decode(certificate)
    thumbprint = x509.load_der_x509_certificate(der).fingerprint(hashes.SHA1())  # noqa: S303
    return {
        "data": base64.b64encode(data).decode(),
        "dataKey": base64.b64encode(_public_key(certificate).encrypt(once, oaep)).decode(),
        "dataSignature": base64.b64encode(hmac.digest(once, data, "sha256")).decode(),
        "encryptionCertificateId": certificate_id,
        "encryptionCertificateThumbprint": thumbprint.hex().upper(),
    }


def _public_key(certificate: str) -> rsa.RSAPublicKey:
    """Raises ValueError."""
    key = x509.load_der_x509_certificate(base64.b64decode(certificate, validate=True)).public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("its key is no RSA key")
    if not FEWEST_BITS <= key.key_size <= MOST_BITS:
        raise ValueError(f"its key has {key.key_size} bits")
    return key
