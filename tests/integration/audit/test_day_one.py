"""What was written down on the first day holds after everything that came later, two new keys among it.

`pytest -m long -s tests/integration/audit/test_day_one.py` takes a million events, or `TALLYSTICK_EVENTS` of them, from
`TALLYSTICK_SEED`, and prints how fast they were sealed and verified.
"""

import os
import tempfile
from pathlib import Path

import psycopg
import pytest

from services.migrations.migrate import migrate
from services.postgres.embedded import EmbeddedPostgres
from tests.acceptance.server import plain_client
from tests.conftest import SCHEMA
from tests.faults.seeds import seeded
from tests.integration.audit.large import Large

KEY = "a-key-with-every-scope-for-the-test-of-day-one"
EVENTS_A_SUBSCRIPTION = 50
FIRST_CHARGE = (
    "SELECT c.subscription_id, c.generation_id FROM tallystick.charges AS c JOIN tallystick.ledger_events AS e"
    " ON (e.originator_id, e.originator_version) = (c.subscription_id, c.version) ORDER BY e.notification_id LIMIT 1"
)


@pytest.mark.parametrize(
    "events", [3_000, pytest.param(int(os.environ.get("TALLYSTICK_EVENTS", "1000000")), marks=pytest.mark.long)]
)
def test_a_checkpoint_of_day_one_reaches_the_ledger_and_a_receipt(events: int) -> None:
    seed = seeded("day one").getrandbits(32)
    with (
        tempfile.TemporaryDirectory(prefix="tallystick-test-") as name,
        EmbeddedPostgres(Path(name) / "postgres", scratch=True) as server,
    ):
        large = Large(server, Path(name), events)
        migrate(server.url, SCHEMA)
        fill(large, 300, seed)
        (large.folder / "day-one.txt").write_text(large.tallystick("checkpoint").output)
        fill(large, events // 2, seed + 1)
        large.tallystick("checkpoint", "--rotate")
        large.tallystick("checkpoint", "--rotate")
        fill(large, events // 2, seed + 2)
        sealed = large.tallystick("checkpoint")
        print(f"\nsealed: {events // 2 / sealed.seconds:,.0f} events/s, {sealed.seconds:.1f} s with the start")
        key = keep_a_receipt(large)

        pinned = ("--key", key, "--checkpoint", "day-one.txt")
        verified = large.tallystick("verify", *pinned)
        receipt = large.tallystick("verify-receipt", "receipt", *pinned, "--checkpoint", "proof")
    print(f"verified: {events / verified.seconds:,.0f} events/s, {events / verified.core_seconds:,.0f} a core second")
    assert "Everything holds." in verified.output
    assert receipt.output.startswith("It holds: "), receipt.output
    assert receipt.output.count("\n  key ") == 3


def fill(large: Large, events: int, seed: int) -> None:
    subscriptions = max(1, events // EVENTS_A_SUBSCRIPTION)
    large.tallystick("demo", "--events", str(events), "--subscriptions", str(subscriptions), "--seed", str(seed))


def keep_a_receipt(large: Large) -> str:
    """Keep the receipt of the first charge and the proof from the first checkpoint; return the first key of the log."""
    with psycopg.connect(large.server.url) as connection:
        first = connection.execute(FIRST_CHARGE).fetchone()
    assert first is not None
    size = (large.folder / "day-one.txt").read_text().splitlines()[1]
    with large.running("api", bootstrap_key=KEY) as api:
        api.page("/readyz")
        with plain_client(api.url, {"Authorization": f"Bearer {KEY}"}) as http:
            receipt = http.get("/v1/subscriptions/{}/charges/{}/receipt".format(*first)).raise_for_status()
            proof = http.get("/v1/checkpoints/proof", params={"from": size}).raise_for_status()
            keys = http.get("/v1/log/keys").raise_for_status()
    (large.folder / "receipt").write_bytes(receipt.content)
    (large.folder / "proof").write_bytes(proof.content)
    return keys.text.splitlines()[0]
