"""Every attack of `test_attackers.py` once more, while the service runs: the same ones see it.

Its own sealer signs nothing of what the owner of the database made of the history, and says so in `/readyz` and the
metrics; `verify` finds what the sealer does not look at; so does whoever wrote down a checkpoint.
"""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from psycopg import Connection

from services.postgres.database import connect
from services.postgres.embedded import EmbeddedPostgres
from tests.conftest import database_like
from tests.integration.audit.sound import SealedLedger
from tests.integration.audit.test_attackers import (
    CHECKPOINT,
    OF_MORE,
    OF_THE_OWNER_OF_THE_DATABASE,
    SEALER,
    VERIFY,
    Attack,
    Scene,
    as_many_checkpoints_are_made_again,
    checkpoints_are_deleted,
    checkpoints_are_signed_anew_and_the_last_names_the_true_key,
    events_are_rewritten_and_checkpoints_deleted,
    events_are_rewritten_and_the_log_deleted,
)
from tests.processes import Tallystick, running, tallystick
from tests.waiting import wait_until

KEY = "a-key-with-every-scope-for-the-test-of-attacks"
REPORTED = (
    events_are_rewritten_and_checkpoints_deleted,
    checkpoints_are_signed_anew_and_the_last_names_the_true_key,
    checkpoints_are_deleted,
    as_many_checkpoints_are_made_again,
    events_are_rewritten_and_the_log_deleted,
)
ATTACKS = [
    pytest.param(attack, seen_by, id=attack.__name__, marks=[] if attack in REPORTED else [pytest.mark.long])
    for attack, seen_by in (*OF_THE_OWNER_OF_THE_DATABASE, *OF_MORE)
]


class Serving:
    """A service on a copy of a sealed ledger, and its owner, who may do what he likes."""

    def __init__(self, service: Tallystick, database_url: str, owner: Connection[Any], folder: Path) -> None:
        self.service = service
        self.database_url = database_url
        self.owner = owner
        self.folder = folder

    @property
    def sealing(self) -> str:
        answer: str = json.loads(self.service.page("/readyz"))["sealing"]
        return answer

    @property
    def newest_note(self) -> str:
        return self.service.page("/v1/log/checkpoint")

    def start_a_subscription(self) -> None:
        """Record events, which the sealer takes up. What was attacked may be such that they cannot be recorded."""
        body = json.dumps({"account_id": "account-77", "plan_id": "max-pro-240000-monthly"}).encode()
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.service.url}/v1/subscriptions", body, headers)
        with suppress(HTTPError), urllib.request.urlopen(request):
            pass

    def is_sealed(self) -> bool:
        """Whether the newest note covers every event."""
        newest = int(self.newest_note.splitlines()[1])
        return self.owner.execute("SELECT last_id FROM tallystick.head").fetchone() == (newest,)

    def attack(self, attack: Attack) -> None:
        self.owner.execute("SET session_replication_role = replica")
        attack(Scene(self.owner, self.folder))
        self.owner.execute("RESET session_replication_role")

    def command(self, *arguments: str) -> int:
        return tallystick(*arguments, folder=self.folder, database_url=self.database_url).returncode


@contextmanager
def serving(postgres: EmbeddedPostgres, sealed: SealedLedger, folder: Path) -> Iterator[Serving]:
    database = sealed.database_url.partition("@/")[2].partition("?")[0]
    shutil.copy(sealed.folder / "signing.key", folder / "signing.key")
    shutil.copytree(sealed.folder / "seals", folder / "seals")
    with (
        database_like(postgres, database) as url,
        running("serve", folder=folder, database_url=url, checkpoint_seconds=0.1, bootstrap_key=KEY) as service,
        connect(url, autocommit=True) as owner,
    ):
        service.page("/readyz")
        serving = Serving(service, url, owner, folder)
        wait_until(serving.is_sealed)
        yield serving
        service.stop()


@pytest.mark.parametrize(("attack", "seen_by"), ATTACKS)
def test_an_attack_on_a_running_service_is_seen(
    postgres: EmbeddedPostgres, sealed: SealedLedger, tmp_path: Path, attack: Attack, seen_by: set[str]
) -> None:
    with serving(postgres, sealed, tmp_path) as it:
        it.start_a_subscription()
        wait_until(it.is_sealed)
        before = it.newest_note
        (tmp_path / "written-down").write_text(before)
        assert it.command("verify") == 0

        it.attack(attack)
        it.start_a_subscription()

        if SEALER in seen_by:
            wait_until(lambda: it.sealing == "refused")
            assert refusing_sealers(it.service) == 1
            if (attack, seen_by) in OF_THE_OWNER_OF_THE_DATABASE:
                assert it.newest_note == before, "the newest note of the seals"
            assert it.command("checkpoint") == 1
        if VERIFY in seen_by:
            assert it.command("verify") == 1
        if CHECKPOINT in seen_by:
            assert it.command("verify", "--checkpoint", "written-down") == 1


def refusing_sealers(service: Tallystick) -> float:
    lines = service.page("/metrics").splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("tallystick_sealer_refused{"))
