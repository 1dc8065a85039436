"""A certificate authority for a day, and a broker that speaks TLS alone with its certificate."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hesper_lab import private_file

_LIFETIME: Final = datetime.timedelta(days=1)
_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])


def write(folder: Path) -> Path:
    """Write ``tls.key`` and a certificate of its own authority, ``tls.crt``; return the latter."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFETIME)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    private_file.write(folder / "tls.key", secret.decode("ascii"))
    path = folder / "tls.crt"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


def require(configuration: Path, folder: Path) -> None:
    """Make the listener of a mosquitto.conf speak TLS with the certificate of a folder."""
    lines = []
    for line in configuration.read_text().splitlines():
        lines.append(line)
        if line.startswith("listener "):
            lines += [f"certfile {folder / 'tls.crt'}", f"keyfile {folder / 'tls.key'}"]
    configuration.write_text("\n".join(lines) + "\n")
