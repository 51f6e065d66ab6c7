"""The certificate and the protocol of the laptop's load balancer. On AWS both are the load balancer's own (infra/platform/ingress/load_balancer.py)."""

from __future__ import annotations

import http.client
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest

from tests.testinfra.place import Place

pytestmark = pytest.mark.integration


def connect(laptop: Place, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A finished handshake with the public port, or the error of one."""
    raw = socket.create_connection(("127.0.0.1", laptop.state.ports.public), timeout=10)
    try:
        return context.wrap_socket(raw, server_hostname="localhost")
    except OSError:
        raw.close()
        raise


def trusting(laptop: Place) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(laptop.layout.ca))


def test_the_certificate_is_valid_now_and_for_this_name(laptop: Place) -> None:
    with connect(laptop, trusting(laptop)) as connection:  # checks chain, dates and name
        certificate = connection.getpeercert() or {}
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    assert until > datetime.now(UTC) + timedelta(
        hours=1
    )  # Caddy makes its own for 12 hours and renews them with a third of it left
    assert ("DNS", "localhost") in certificate["subjectAltName"]


def test_the_certificate_is_this_stacks_own_and_nobody_else_trusts_it(laptop: Place) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(laptop, ssl.create_default_context())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
def test_protocols_of_today_are_spoken(laptop: Place, version: ssl.TLSVersion) -> None:
    context = trusting(laptop)
    context.minimum_version = context.maximum_version = version
    with connect(laptop, context) as connection:
        assert connection.version() == version.name.replace("_", ".")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=lambda version: version.name)
def test_older_protocols_are_refused_by_the_server(laptop: Place, version: ssl.TLSVersion) -> None:
    context = trusting(laptop)
    context.set_ciphers("ALL:@SECLEVEL=0")  # else this side refuses before the server is asked
    context.minimum_version = context.maximum_version = version
    with pytest.raises(ssl.SSLError, match="alert protocol version"):
        connect(laptop, context)


def test_without_tls_nothing_is_served(laptop: Place) -> None:
    """No redirect either: there is no port for plain HTTP, and a key sent in clear must not seem to work."""
    plain = http.client.HTTPConnection("127.0.0.1", laptop.state.ports.public, timeout=10)
    plain.request("GET", "/healthz")
    assert plain.getresponse().status == 400
    plain.close()
