"""What a web framework costs: a charge that charges nothing, answered in four ways under one app server.

    python -m tests.bench.frameworks [ROUNDS]

Each way reads the same request (an id in the path, a bearer token, a JSON body) and answers the same JSON. They take
turns and wrk sends. For each way it prints the median, lowest and highest of the requests a second and of the server's
CPU time for one, which other load on the machine disturbs less. `docs/decisions/0012-fastapi.md` has the figures.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from contextlib import ExitStack
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Depends, FastAPI, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from tests.bench.load import NoLoadGenerator, Unsound
from tests.bench.stand import HERE, free_port, running

CONNECTIONS, SECONDS = 64, 5
PATH = "/v1/subscriptions/{subscription_id}/charges"

Caller = Annotated[HTTPAuthorizationCredentials, Security(HTTPBearer())]


class TypedRequest(BaseModel, extra="forbid"):
    """The body, as FastAPI reads it."""

    generation_id: str
    model: str
    settings: dict[str, int] = {}


class TypedCharge(BaseModel):
    """The answer, as FastAPI writes it."""

    subscription_id: UUID
    generation_id: str
    model: str
    settings: dict[str, int]
    credits: int


class ChargeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body, as msgspec reads it."""

    generation_id: str
    model: str
    settings: dict[str, int] = {}


class Charge(msgspec.Struct):
    """The answer, as msgspec writes it."""

    subscription_id: UUID
    generation_id: str
    model: str
    settings: dict[str, int]
    credits: int


typed = FastAPI()
bytes_out = FastAPI()
request_only = FastAPI()
_decode = msgspec.json.Decoder(ChargeRequest).decode
_encode = msgspec.json.Encoder().encode


@typed.post(PATH, status_code=201)
async def typed_charge(_caller: Caller, subscription_id: UUID, body: TypedRequest) -> TypedCharge:
    """An ordinary route: pydantic in, pydantic out."""
    return TypedCharge(subscription_id=subscription_id, credits=150, **body.model_dump())


async def _body(request: Request) -> ChargeRequest:
    return _decode(await request.body())


@bytes_out.post(PATH)
async def bytes_out_charge(
    _caller: Caller, subscription_id: UUID, body: Annotated[ChargeRequest, Depends(_body)]
) -> Response:
    """A route with dependencies that decodes with msgspec and returns bytes, as the service's ordinary routes do."""
    return Response(_answer(subscription_id, body), 201, media_type="application/json")


@request_only.post(PATH)
async def request_only_charge(request: Request) -> Response:
    """A route that takes nothing but the request: FastAPI finds it and does no more."""
    assert request.headers["authorization"]
    body = _decode(await request.body())
    return Response(_answer(UUID(request.path_params["subscription_id"]), body), 201, media_type="application/json")


def _answer(subscription_id: UUID, body: ChargeRequest) -> bytes:
    return _encode(Charge(subscription_id, body.generation_id, body.model, body.settings, 150))


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """The same without a framework; what is no charge asks whether it has started."""
    if scope["method"] == "GET":
        await _send(send, 200, b"")
        return
    assert any(name == b"authorization" for name, _ in scope["headers"])
    subscription_id = UUID(scope["path"].split("/")[3])
    message = await receive()
    assert not message["more_body"]
    await _send(send, 201, _answer(subscription_id, _decode(message["body"])))


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main(rounds: int) -> None:
    """Measure the four in turns."""
    with ExitStack() as parts:
        servers = {way: Server(way, parts) for way in ("typed", "bytes_out", "request_only", "bare")}
        for _ in range(rounds):
            for server in servers.values():
                server.measure()
    for way, server in servers.items():
        print(f"{way:12} {_spread(server.rates)} a second, {_spread(server.cpu_microseconds)} µs of CPU")


class Server:
    """One of the ways, served by a process of its own, and what was measured of it."""

    def __init__(self, way: str, parts: ExitStack) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.rates: list[float] = []
        self.cpu_microseconds: list[float] = []
        command = [sys.executable, "-m", "uvicorn", f"tests.bench.frameworks:{way}", "--port", self.url.split(":")[2]]
        command += ["--lifespan", "off", "--no-access-log", "--log-level", "critical"]
        self._process = parts.enter_context(running(command, f"{self.url}/docs", dict(os.environ)))

    def measure(self) -> None:
        """Send charges for some seconds. Raises Unsound where one failed."""
        program = shutil.which("wrk")
        if program is None:
            raise NoLoadGenerator(NoLoadGenerator.__doc__)
        command: list[Any] = [program, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", HERE / "requests.lua"]
        command += ["-H", "Authorization: Bearer key", "-H", "Content-Type: application/json"]
        command += [self.url, "--", "charge", "run", 1000, 1]
        cpu_seconds = self._cpu_seconds()
        done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
        cpu_seconds = self._cpu_seconds() - cpu_seconds
        summary = json.loads(done.stdout.strip().splitlines()[-1])
        if summary["refused"] or summary["broken"]:
            raise Unsound(done.stdout)
        self.rates.append(summary["requests"] / summary["seconds"])
        self.cpu_microseconds.append(cpu_seconds / summary["requests"] * 1e6)

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
