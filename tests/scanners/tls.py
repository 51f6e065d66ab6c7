"""The laptop's load balancer as sslyze sees it: what it accepts of TLS, and what it falls for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.scanners.outcome import Finding
from tests.services import caddy_process

_OLD: Final = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")
_STRONG: Final = ("_GCM_", "CHACHA20")  # authenticated encryption; with ECDHE nobody reads today's traffic with tomorrow's key


def scan() -> tuple[Finding, ...]:
    """Start the stack's Caddy with its real configuration and look at it from outside."""
    with tempfile.TemporaryDirectory() as folder, caddy_process.start(Path(folder)) as front:
        return tuple(findings("127.0.0.1", int(front.url.rpartition(":")[2]), front.layout.ca))


def findings(address: str, port: int, ca: Path) -> Iterator[Finding]:
    """Everything that is not as it should be. Raises RuntimeError when sslyze did not get through."""
    result, where = _scanned(address, port, ca), f"caddy:{port}"
    for name in _OLD:
        for cipher in _of(result, f"{name}_cipher_suites").accepted_cipher_suites:
            yield Finding("old-protocol", where, "high", f"{name} with {cipher.cipher_suite.name}")
    for cipher in _of(result, "tls_1_2_cipher_suites").accepted_cipher_suites:
        name = cipher.cipher_suite.name
        if not name.startswith("TLS_ECDHE_") or not any(mark in name for mark in _STRONG):
            yield Finding("weak-cipher", where, "medium", f"TLS 1.2 with {name}")
    if not _of(result, "tls_1_3_cipher_suites").accepted_cipher_suites:
        yield Finding("no-tls-1.3", where, "medium", "TLS 1.3 is refused")
    for rule, bad in (
        ("heartbleed", _of(result, "heartbleed").is_vulnerable_to_heartbleed),
        ("ccs-injection", _of(result, "openssl_ccs_injection").is_vulnerable_to_ccs_injection),
        ("robot", _of(result, "robot").robot_result.value.startswith("VULNERABLE")),
        ("compression", _of(result, "tls_compression").supports_compression),
        ("renegotiation", _of(result, "session_renegotiation").is_vulnerable_to_client_renegotiation_dos),
        ("early-data", _of(result, "tls_1_3_early_data").supports_early_data),
    ):
        if bad:
            yield Finding(rule, where, "high", "sslyze says that the server is vulnerable")
    for deployment in _of(result, "certificate_info").certificate_deployments:
        if not any(path.trust_store.path == ca and path.was_validation_successful for path in deployment.path_validation_results):
            yield Finding("certificate", where, "high", "the certificate does not verify against the stack's own authority")


def _scanned(address: str, port: int, ca: Path) -> Any:
    from sslyze import (
        CertificateInfoExtraArgument,
        ScanCommandsExtraArguments,
        Scanner,
        ServerNetworkConfiguration,
        ServerNetworkLocation,
        ServerScanRequest,
    )

    extra = ScanCommandsExtraArguments(certificate_info=CertificateInfoExtraArgument(custom_ca_file=ca))
    request = ServerScanRequest(
        server_location=ServerNetworkLocation(hostname="localhost", port=port, ip_address=address),
        network_configuration=ServerNetworkConfiguration(tls_server_name_indication="localhost"),
        scan_commands_extra_arguments=extra,
    )
    scanner = Scanner()
    scanner.queue_scans([request])
    (result,) = scanner.get_results()
    if result.scan_result is None:
        raise RuntimeError(f"sslyze got no connection: {result.connectivity_error_trace}")
    return result.scan_result


def _of(result: Any, command: str) -> Any:
    attempt = getattr(result, command)
    if attempt.result is None:
        raise RuntimeError(f"sslyze could not do {command}: {attempt.error_reason} {attempt.error_trace}")
    return attempt.result
