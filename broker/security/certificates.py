"""A certificate authority of one's own, and the certificates that it gives (X.509 v3, RFC 5280)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.errors import CredentialsError

LONGEST_NAME = 64
"""Characters of a common name (RFC 5280, appendix A)."""

AUTHORITY_DAYS = 3650
# Clocks of small computers may be behind.
_BEFORE = timedelta(hours=1)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, both as PEM, and when it ends."""

    certificate: bytes
    key: bytes
    expires: datetime


class Authority:
    """Signs certificates of servers and parties, with ECDSA on P-256, which every TLS library has.

    Parameters
    ----------
    certificate, key
        PEM of the authority.

    Raises
    ------
    CredentialsError
        They are none, or not of each other.
    """

    def __init__(self, certificate: bytes, key: bytes) -> None:
        try:
            self._certificate = x509.load_pem_x509_certificate(certificate)
            private = serialization.load_pem_private_key(key, None)
        except ValueError as error:
            raise CredentialsError(f"the authority cannot be read: {error}; begin a new folder") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or (
            private.public_key() != self._certificate.public_key()
        ):
            raise CredentialsError("the authority's key is not that of its certificate; begin a new folder")
        self._key = private

    @staticmethod
    def create() -> Issued:
        """A new authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("sharegrid authority")
        builder = _builder(name, name, key.public_key(), AUTHORITY_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        return _issued(builder, key, key)

    def server(self, hosts: Sequence[str], days: int) -> Issued:
        """Certificate of a broker that is reached by these names and addresses."""
        names = x509.SubjectAlternativeName([_general(host) for host in hosts])
        return self._issue(hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, days, names)

    def party(self, name: str, days: int) -> Issued:
        """Certificate by which a broker knows a party."""
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, days, None)

    def _issue(
        self,
        name: str,
        purpose: x509.ObjectIdentifier,
        days: int,
        names: x509.SubjectAlternativeName | None,
    ) -> Issued:
        if not 0 < len(name) <= LONGEST_NAME:
            raise CredentialsError(f"{name}: a certificate's name has 1 to {LONGEST_NAME} characters")
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), self._certificate.subject, key.public_key(), days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        issuer = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer)
        builder = builder.add_extension(identifier, critical=False)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return _issued(builder, key, self._key)


def expiry(certificate: bytes) -> datetime:
    """When a certificate ends; raises `CredentialsError` where it is none."""
    try:
        return x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    except ValueError as error:
        raise CredentialsError(f"it is no certificate: {error}") from None


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _issued(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> Issued:
    certificate = builder.sign(signer, hashes.SHA256())
    return Issued(
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        expires=certificate.not_valid_after_utc,
    )
