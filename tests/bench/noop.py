"""The no-op app that P4 compares with: FastAPI on the app server that the service runs on, with nothing behind it."""

from fastapi import FastAPI, Response

app = FastAPI(openapi_url=None)


@app.get("/noop")
async def noop() -> dict[str, int]:
    """Answer by an ordinary typed route."""
    return {"balance_credits": 1}


@app.get("/noop-response")
async def noop_response() -> Response:
    """Answer without the framework's validation and encoding."""
    return Response(b'{"balance_credits":1}', media_type="application/json")
