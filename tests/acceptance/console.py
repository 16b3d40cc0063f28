"""An agent who is signed in to the console, and reads its pages as a browser without scripts does."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

import httpx

from tests.acceptance.server import Server, plain_client

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


def token_of(page: httpx.Response) -> str:
    """The token of the forms of a page."""
    found = _TOKEN.search(page.text)
    assert found is not None, page.text
    return found[1]


def hidden_of(page: httpx.Response) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    return {name: unescape(value) for name, value in _HIDDEN.findall(page.text)}


def sign_in(client: httpx.Client, key: str, name: str = "Ada") -> httpx.Response:
    """Fill in the form and send it."""
    form = client.get("/console/sign-in")
    return client.post("/console/sign-in", data={**hidden_of(form), "name": name, "key": key})


@contextmanager
def signed_in(server: Server, *scopes: str, name: str = "Ada") -> Iterator[httpx.Client]:
    """A browser of an agent whose key has these scopes; every scope where none is named."""
    key = server.backend.keys.create("agents", scopes).key if scopes else server.secret
    with plain_client(server.url, {}) as client:
        assert sign_in(client, key, name).status_code == 303
        yield client


def post(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Send a form, with the token of its page."""
    return client.post(path, data={**fields, "csrf_token": token_of(client.get(path))})
