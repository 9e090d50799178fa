"""Notices to give to notifiers, and a certificate that nobody but its maker trusts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from twinface.core.access.actions import Notice

MakeNotice = Callable[..., Notice]


@pytest.fixture
def notice() -> MakeNotice:
    def make(granted: bool = True, id: str = "r-1", **others: object) -> Notice:
        values: dict[str, object] = {
            "at": datetime(2026, 3, 4, 8, 30, tzinfo=UTC),
            "place": "floor-7",
            "place_name": "7th floor",
            "reason": "granted" if granted else "unknown_person",
            "words": "come in" if granted else "nobody we know",
            "name": None,
            "subject": "5f1c",
            "head": "12:ab34",
        }
        return Notice(id=id, granted=granted, **{**values, **others})  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate of `localhost` in one file."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
