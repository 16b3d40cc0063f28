"""A connection that the server closes costs nobody an answer."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict

from services.postgres.embedded import EmbeddedPostgres
from tests.acceptance.server import Customer, Server

ROUNDS = 4


def test_every_request_is_answered_though_sessions_end_between(
    postgres: EmbeddedPostgres, database_url: str, server: Server, http: httpx.Client
) -> None:
    """Also requests with a key that has to be looked up."""
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    database = conninfo_to_dict(database_url)["dbname"]
    requests = [
        ("GET", "/balance", None),
        ("GET", "/charges", None),
        ("GET", "/renewal", None),
        ("POST", "/what-if", {}),
        ("POST", "/charges", {"model": "lyria-3"}),
    ]
    with psycopg.connect(postgres.url, autocommit=True) as administrator, ThreadPoolExecutor(len(requests)) as threads:
        for number in range(ROUNDS):
            ended = administrator.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", [database]
            ).fetchall()
            secret = server.backend.keys.create("new", ["read", "charge", "audit"]).key
            new_key = {"Authorization": f"Bearer {secret}"}
            answers = threads.map(
                lambda request: http.request(
                    request[0],
                    customer.path + request[1],
                    json=request[2] and {**request[2], "generation_id": f"g-{number}"},  # noqa: B023 - awaited below
                    headers=new_key,  # noqa: B023 - as above
                ),
                requests,
            )

            assert ended
            assert {answer.status_code for answer in answers} <= {200, 201}

    assert customer.balance == 40_000 - ROUNDS * 150
