"""How the API server makes itself known to servers behind it, such as metrics-server: by a certificate that they trust for this alone."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CLIENT: Final = "front-proxy-client"
_DAY: Final = datetime.timedelta(days=1)
_HEADERS: Final = (
    "--requestheader-username-headers", "X-Remote-User", "--requestheader-group-headers", "X-Remote-Group",
    "--requestheader-extra-headers-prefix", "X-Remote-Extra-",
)  # fmt: skip


def flags(folder: Path) -> tuple[str, ...]:
    """Arguments of the API server; writes the authority, the certificate and its key into `folder`."""
    authority, authority_key = _certify("front-proxy-ca", None)
    client, client_key = _certify(_CLIENT, (authority, authority_key))
    pem = serialization.Encoding.PEM
    named = {name: folder / f"front-proxy-{name}.pem" for name in ("ca", "client", "key")}
    named["ca"].write_bytes(authority.public_bytes(pem))
    named["client"].write_bytes(client.public_bytes(pem))
    named["key"].touch(mode=0o600)
    named["key"].write_bytes(client_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return (
        "--requestheader-client-ca-file", str(named["ca"]), "--requestheader-allowed-names", _CLIENT, *_HEADERS,
        "--proxy-client-cert-file", str(named["client"]), "--proxy-client-key-file", str(named["key"]),
    )  # fmt: skip


def _certify(
    name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A client's certificate by the issuer, or without one an authority's own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY).not_valid_after(now + 30 * _DAY)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )  # fmt: skip
    if issuer:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return made.sign(issuer[1] if issuer else key, hashes.SHA256()), key
