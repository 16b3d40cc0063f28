"""Puts a witness together: its key, what it saw, and the server."""

import threading
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from services.config import Settings
from services.integrity.signing import KeyFile
from services.log.keys import KeyKind, Signer, VerifierKey
from services.witness.memory import WitnessMemory, only_witness
from services.witness.server import WitnessServer, serving


def run_witness(
    settings: Settings,
    log_keys: Sequence[VerifierKey],
    name: str | None,
    key_path: Path | None,
    stopping: threading.Event,
    on_ready: Callable[[VerifierKey, int], None],
) -> None:
    """Witness logs until `stopping` is set; `on_ready` takes the witness's key and the port.

    Raises NoSigningKey, BadMemory, WitnessInUse, BadKey for a name that no key can have, OSError.
    """
    folder = settings.data_dir / "witness"
    key = KeyFile(key_path or folder / "witness.key").read_or_make()
    named = name or f"tallystick-witness/{sha256(key.public_key).hexdigest()[:16]}"
    signer = Signer(VerifierKey(named, key.public_key, KeyKind.COSIGNATURE_V1), key.sign)
    with only_witness(folder):
        witness = WitnessServer(WitnessMemory(folder, log_keys), signer)
        with serving(witness, settings.host, settings.port) as port:
            on_ready(signer.key, port)
            stopping.wait()
