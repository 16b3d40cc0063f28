"""Makes the vectors beside the page on the format: files that hold, and files that do not, with what is wrong.

    python -m tests.unit.evidence.vectors        writes them anew to docs/reference/vectors/

Each is made of real parts, the same in every run.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.unit.evidence.vector import Vector
from tests.unit.evidence.vectors_of_evidence import bad as bad_evidence
from tests.unit.evidence.vectors_of_evidence import good as good_evidence
from tests.unit.evidence.vectors_of_receipts import bad as bad_receipts
from tests.unit.evidence.vectors_of_receipts import good as good_receipts

FOLDER = Path(__file__).parents[3] / "docs/reference/vectors"
_INDEX = "vectors.json"


def all_vectors() -> list[Vector]:
    """Make all vectors."""
    return [*good_receipts(), *good_evidence(), *bad_receipts(), *bad_evidence()]


def files_of(vectors: Sequence[Vector]) -> Mapping[str, bytes]:
    """Return the content of the folder by file name."""
    files = {vector.file: vector.content for vector in vectors}
    pins = {name: content for vector in vectors for name, content in _pinned(vector)}
    return {**files, **pins, _INDEX: _list_of(vectors)}


def _pinned(vector: Vector) -> Iterator[tuple[str, bytes]]:
    for number, content in enumerate(vector.checkpoints, start=1):
        yield f"{Path(vector.file).stem}.checkpoint-{number}.txt", content


def _list_of(vectors: Sequence[Vector]) -> bytes:
    entries = [
        {
            "file": vector.file,
            "keys": list(vector.keys),
            "checkpoints": [name for name, _ in _pinned(vector)],
            "holds": not vector.why,
            "why": vector.why,
        }
        for vector in vectors
    ]
    return (json.dumps(entries, indent=2, ensure_ascii=False) + "\n").encode()


def write() -> None:
    """Write the folder anew."""
    FOLDER.mkdir(exist_ok=True)
    files = files_of(all_vectors())
    for path in FOLDER.iterdir():
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    write()
