"""What TLS says of who is at the other end, as ASGI's TLS extension has it.

Source: https://asgi.readthedocs.io/en/latest/specs/tls.html; names as RFC 4514 writes them.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from vidops.asgi import CLIENT_CERTIFICATE

_SHORT = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def tls_extension(tls: ssl.SSLObject | ssl.SSLSocket) -> dict[str, Any]:
    """For `scope["extensions"]["tls"]`. A certificate is in it only where it was verified."""
    found: Mapping[str, Any] = tls.getpeercert() or {}
    name = rfc4514(found["subject"]) if found else None
    cipher = tls.cipher()
    return {
        "tls_version": _VERSIONS.get(tls.version() or ""),
        "cipher_suite": cipher[0] if cipher else None,
        "client_cert_name": name,
        CLIENT_CERTIFICATE: {**found, "subject_name": name} if found else None,
    }


def quic_extension(tls: Any) -> dict[str, Any]:
    """The same over QUIC, of aioquic's `tls.Context`: always TLS 1.3, and no client is asked for a certificate."""
    return {
        "tls_version": _VERSIONS["TLSv1.3"],
        "cipher_suite": f"TLS_{tls.key_schedule.cipher_suite.name}",
        "client_cert_name": None,
        CLIENT_CERTIFICATE: None,
    }


def rfc4514(subject: Any) -> str:
    """A subject as `getpeercert` gives it: "CN=door,O=Example"; the most specific name is the first."""
    return ",".join(
        "+".join(f"{_SHORT.get(name, name)}={_escaped(value)}" for name, value in rdn) for rdn in reversed(subject)
    )


def _escaped(value: str) -> str:
    text = "".join(f"\\{c}" if c in '"+,;<>\\' else "\\00" if c == "\0" else c for c in value)
    if text.startswith(("#", " ")):
        text = f"\\{text}"
    return f"{text[:-1]}\\ " if text.endswith(" ") and len(value) > 1 else text
