"""While the service runs, its own sealer signs nothing of what the owner of the database made of the history.

Charges go on, `/readyz` and the metrics tell, and `verify` finds it.
"""

import json
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from services.integrity.signing import SigningKey
from services.log.checkpoint import Checkpoint
from services.log.note import Note
from services.postgres.database import connect
from services.postgres.embedded import running_url
from tests.integration.audit.sealing import as_owner
from tests.processes import Tallystick, running, tallystick
from tests.waiting import wait_until

NEWEST = "SELECT max(size) FROM tallystick.log_checkpoints WHERE log = 'events'"
REWRITE = """UPDATE tallystick.ledger_events SET state =
    convert_to(replace(convert_from(state, 'UTF8'), '"account_id":"account-1"', '"account_id":"account-2"'), 'UTF8')"""


def charge(service: Tallystick, secret: str, path: str, **body: object) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{service.url}/v1/subscriptions{path}",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        made: dict[str, Any] = json.load(answer)
        return made


def is_sealed(owner: Connection[Any], position: int) -> bool:
    return owner.execute(NEWEST).fetchone() == (position,)


def rewrite_and_delete_the_checkpoints(owner: Connection[Any], _: Path) -> None:
    as_owner(owner, REWRITE, "DELETE FROM tallystick.log_checkpoints")


def sign_the_checkpoints_anew(owner: Connection[Any], folder: Path) -> None:
    """With a key of one's own, the last one handing over to the true key."""
    rows = owner.execute("SELECT number, note FROM tallystick.log_checkpoints WHERE log = 'events' ORDER BY number")
    stored = [(number, Checkpoint.parse(Note.parse(note).text)) for number, note in rows]
    true = SigningKey.read(folder / "signing.key").signer(stored[0][1].origin).key
    own = SigningKey.generate().signer(true.name)
    as_owner(owner, REWRITE)
    owner.execute("SET session_replication_role = replica")
    for number, checkpoint in stored:
        is_last = number == stored[-1][0]
        note = (checkpoint.handing_over_to(true) if is_last else checkpoint).signed_by(own)
        owner.execute("UPDATE tallystick.log_checkpoints SET note = %s WHERE number = %s", [str(note), number])
    owner.execute("UPDATE tallystick.log_keys SET vkey = %s WHERE log = 'events'", [str(own.key)])
    owner.execute("RESET session_replication_role")


def delete_the_checkpoints(owner: Connection[Any], _: Path) -> None:
    as_owner(owner, "DELETE FROM tallystick.log_checkpoints")


def delete_the_log(owner: Connection[Any], _: Path) -> None:
    tables = ("log_checkpoints", "log_trees", "log_tiles", "log_keys", "refusal_numbers")
    as_owner(owner, REWRITE, *(f"DELETE FROM tallystick.{table}" for table in tables))


def rewrite_and_let_the_tiles_be_made_anew(owner: Connection[Any], _: Path) -> None:
    as_owner(
        owner,
        REWRITE,
        "DELETE FROM tallystick.log_tiles WHERE log = 'events'",
        "UPDATE tallystick.log_trees SET size = 0 WHERE log = 'events'",
    )


@pytest.mark.parametrize(
    "attack",
    [
        rewrite_and_delete_the_checkpoints,
        sign_the_checkpoints_anew,
        delete_the_checkpoints,
        delete_the_log,
        rewrite_and_let_the_tiles_be_made_anew,
    ],
    ids=lambda attack: attack.__name__,
)
def test_another_history_is_not_signed(tmp_path: Path, attack: Any) -> None:
    with running("serve", folder=tmp_path, checkpoint_seconds=0.1) as service:
        service.page("/readyz")
        secret = (tmp_path / "bootstrap.key").read_text().strip()
        started = charge(service, secret, "", account_id="account-1", plan_id="max-pro-240000-monthly")
        path = f"/{started['subscription_id']}/charges"
        url = running_url(tmp_path / "postgres")
        assert url is not None
        with connect(url, autocommit=True) as owner:
            for number in range(3):
                made = charge(service, secret, path, generation_id=f"track-{number}", model="lyria-3")
                wait_until(partial(is_sealed, owner, made["position"]))
            before = tallystick("checkpoint", folder=tmp_path).stdout
            attack(owner, tmp_path)

            made = charge(service, secret, path, generation_id="track-3", model="lyria-3")
            assert made["credits"] == 150
            wait_until(lambda: json.loads(service.page("/readyz"))["sealing"] == "refused")
            wait_until(lambda: '"} 1.0' in service.page("/metrics").partition("tallystick_sealer_refused{")[2][:400])
        assert service.page("/v1/log/checkpoint") == before, "the newest note of the seals"
        assert json.loads(service.page("/readyz"))["status"] == "ready"
        refused = tallystick("checkpoint", folder=tmp_path)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert tallystick("verify", folder=tmp_path).returncode == 1
        service.stop()
