"""A certificate authority for tests."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SIGNS = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
NAMES = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME}


class Authority:
    """`issue(folder, CN="door")` writes a certificate that it signs, and its key."""

    def __init__(self, folder: Path, name: str = "tests") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._made(
            self.name, self.key.public_key(), [(x509.BasicConstraints(True, 0), True), (SIGNS, True)]
        )
        self.file = folder / f"{name}-ca.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, folder: Path, *, days: int = 2, alternatives: list[x509.GeneralName] | None = None, **subject: str
    ) -> tuple[Path, Path]:
        """Files of the certificate and of its key; `days` may be negative, for one that is over."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NAMES[short], value) for short, value in subject.items()])
        others = alternatives or [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = self._made(name, key.public_key(), [(x509.SubjectAlternativeName(others), False)], days)
        certfile, keyfile = folder / f"{made.serial_number}.pem", folder / f"{made.serial_number}.key"
        certfile.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        keyfile.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        return certfile, keyfile

    def client(self, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """How a client connects that trusts this authority, perhaps with a certificate of its own."""
        context = ssl.create_default_context(cafile=str(self.file))
        if pair is not None:
            context.load_cert_chain(*pair)
        return context

    def _made(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePublicKey,
        extensions: list[tuple[x509.ExtensionType, bool]],
        days: int = 2,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=10))
            .not_valid_after(now + datetime.timedelta(days=days))
        )
        # What RFC 5280 wants of certificates, and Python 3.13 with it: who is meant, and by whom.
        ours = self.key.public_key()
        by = (x509.SubjectKeyIdentifier.from_public_key(key), x509.AuthorityKeyIdentifier.from_issuer_public_key(ours))
        for extension, critical in (*extensions, *((one, False) for one in by)):
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())
