"""The sandbox's own certificate authority and the keys it signs tokens with.

The CA and the server's certificate are made at the first start and kept; the certificate is made
anew when less than a month of it is left.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

RENEW_BEFORE = dt.timedelta(days=30)
CA_LIFE = dt.timedelta(days=3650)
SERVER_LIFE = dt.timedelta(days=397)
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def ensure_server_certificate(folder: Path, hosts: Sequence[str]) -> tuple[Path, Path]:
    """Returns the paths of the server's certificate and key; ``ca.pem`` lies beside them.

    ``hosts`` are further names and addresses besides localhost and the loopback ones.
    """
    ca_path, certificate_path, key_path = (
        folder / name for name in ("ca.pem", "server.pem", "server-key.pem")
    )
    names = sorted({"localhost", "127.0.0.1", "::1", *hosts})
    if ca_path.exists() and key_path.exists() and _is_good(certificate_path, names):
        return certificate_path, key_path
    ca_key, ca = _ensure_authority(ca_path, folder / "ca-key.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder("localhost", ca.subject, key, SERVER_LIFE)
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False
        )
        .sign(ca_key, hashes.SHA256())
    )
    _write_secret(key_path, _key_pem(key))
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return certificate_path, key_path


def ensure_signing_key(path: Path) -> rsa.RSAPrivateKey:
    """The RSA key that signs access tokens; kept, so that tokens survive a restart."""
    if path.exists():
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        if isinstance(key, rsa.RSAPrivateKey):
            return key
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_secret(path, _key_pem(key))
    return key


def _ensure_authority(
    ca_path: Path, key_path: Path
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    if ca_path.exists() and key_path.exists():
        stored = serialization.load_pem_private_key(key_path.read_bytes(), None)
        if isinstance(stored, ec.EllipticCurvePrivateKey):
            return stored, x509.load_pem_x509_certificate(ca_path.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bailey sandbox CA")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    ca = (
        _builder("Bailey sandbox CA", name, key, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(usage, True)
        .sign(key, hashes.SHA256())
    )
    _write_secret(key_path, _key_pem(key))
    ca_path.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    return key, ca


def _builder(
    common_name: str, issuer: x509.Name, key: PrivateKey, life: dt.timedelta
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )


def _is_good(path: Path, names: Sequence[str]) -> bool:
    if not path.exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names_in_it = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    return left > RENEW_BEFORE and sorted(str(n.value) for n in names_in_it.value) == list(names)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
