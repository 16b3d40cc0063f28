"""Messages over TLS: the certificate must be of the name, though the connection goes to a judged address."""

import asyncio
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.webhooks.sending import JudgedNetwork, Result, Sender


def certificate(folder: Path, name: str) -> Path:
    """Make a self-signed certificate for a name, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def network() -> Iterator[JudgedNetwork]:
    opened = JudgedNetwork(allow_private=True)
    yield opened
    opened.close()


@pytest.mark.parametrize(("name", "is_taken"), [("localhost", True), ("other.example", False)])
def test_a_certificate_is_checked_against_the_name(
    tmp_path: Path, network: JudgedNetwork, name: str, is_taken: bool
) -> None:
    file = certificate(tmp_path, name)
    of_server, of_client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=str(file))
    of_server.load_cert_chain(file)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    async def send() -> Result:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=of_server)
        port = server.sockets[0].getsockname()[1]
        async with server, Sender(f"https://localhost:{port}/", network, of_client, connections=1) as sender:
            return await sender.send(b"{}", {})

    result = asyncio.run(send())
    assert result.is_delivered == is_taken
    if not is_taken:
        assert result.error is not None
        assert "certificate" in result.error
