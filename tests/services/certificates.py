"""Certificates that sign themselves, for servers of the tests: whoever asks one trusts exactly this file."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_DAY: Final = datetime.timedelta(days=1)


def self_signed(certificate: Path, key: Path, hosts: Sequence[str]) -> None:
    """For these names and addresses, for a day. It is its own authority."""
    made = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0])])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(made.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - _DAY).not_valid_after(now + _DAY)
    builder = builder.add_extension(x509.SubjectAlternativeName([_named(host) for host in hosts]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    certificate.write_bytes(builder.sign(made, hashes.SHA256()).public_bytes(pem))
    key.touch(mode=0o600)
    key.write_bytes(made.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


def _named(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
