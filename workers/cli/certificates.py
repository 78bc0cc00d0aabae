"""Makes the certificates of an installation's own servers; without it their links would be plain or anybody's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS, DAYS = 20 * 365, 5 * 365
RENEW_DAYS = 365  # before its end
HOUR = timedelta(hours=1)  # by which clocks may differ

Pair = tuple[str, str]  # certificate and private key, both in PEM


def authority(name: str) -> Pair:
    """Return a new authority; it vouches for servers and laboratories of one installation and for nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    builder = _builder(subject, subject, key.public_key(), AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return _pem(builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256()), key)


def issued(by: Pair, names: Sequence[str], *, is_client: bool = False, days: int = DAYS) -> Pair:
    """Return a certificate for these host names or addresses, the first of them its common name.

    is_client: it says who calls, and is no good for a server; else the other way round.
    """
    parent = x509.load_pem_x509_certificate(by[0].encode())
    signer = load_pem_private_key(by[1].encode(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101  # as `authority` makes it
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if is_client else ExtendedKeyUsageOID.SERVER_AUTH
    signer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs=False), True),
        (x509.ExtendedKeyUsage([purpose]), False),
        (x509.SubjectAlternativeName([_general(name) for name in names]), False),
        (signer_id, False),
    ]
    builder = _builder(_named(names[0]), parent.subject, key.public_key(), days)
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    return _pem(builder.sign(signer, hashes.SHA256()), key)


def is_by(certificate: str, authority: str) -> bool:
    """Tell whether the authority vouches for a certificate."""
    try:
        x509.load_pem_x509_certificate(certificate.encode()).verify_directly_issued_by(
            x509.load_pem_x509_certificate(authority.encode())
        )
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def ends_soon(certificate: str, now: datetime) -> bool:
    """Tell whether a certificate ends within a year, or has ended."""
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc < now + timedelta(days=RENEW_DAYS)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    begin = min(now, now + timedelta(days=days)) - HOUR
    return x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), begin, now + timedelta(days=days))


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), secret.decode()
