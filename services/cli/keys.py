"""The `keys` commands: make, rotate, list and revoke API keys."""

import json
import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer
from rich.table import Table

from services.bootstrap.keys import forget_first_key, open_key_ring, replace_first_key
from services.cli.console import EXIT_USAGE, JSON, err, fail, out, plain_errors, read_settings
from services.keys import SCOPES, CannotChange, KeyRecord, NewKey

keys = typer.Typer(no_args_is_help=True, help="API keys: make, rotate, list, revoke.")

OVERLAP_SECONDS = 86_400
OVERLAP_SECONDS_MAX = 30 * 86_400
EXPIRY_SECONDS_MAX = 100 * 365 * 86_400
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,128}")
"""As the API takes the ids of accounts."""

AsJson = Annotated[bool, typer.Option("--json", help="As one JSON object.")]
KeyId = Annotated[str, typer.Argument(help="As `keys list` shows it.")]


@keys.command()
def create(
    name: Annotated[str, typer.Option(help="Whose key it is.")],
    scope: Annotated[list[str], typer.Option(help=f"May be repeated: {', '.join(SCOPES)}.")],
    expires_in: Annotated[
        int | None, typer.Option(min=1, max=EXPIRY_SECONDS_MAX, help="Seconds for which it holds; without, for ever.")
    ] = None,
    account: Annotated[
        list[str] | None, typer.Option(help="Confine it to the subscriptions of this account. May be repeated.")
    ] = None,
    subscription: Annotated[
        list[str] | None, typer.Option(help="Confine it to this subscription. May be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once; only its hash is kept."""
    if unknown := [each for each in scope if each not in SCOPES]:
        fail(f"No such scope: {', '.join(unknown)}. There are: {', '.join(SCOPES)}.", EXIT_USAGE)
    _check_text("--name", name)
    for each in account or ():
        _check_text("--account", each)
    subscription_ids = [_subscription_id(each) for each in subscription or ()]
    with plain_errors(), open_key_ring(read_settings()) as ring:
        key = ring.create(
            name, scope, expires_in=expires_in, account_ids=account or (), subscription_ids=subscription_ids
        )
        _show(key, as_json=as_json)


@keys.command()
def rotate(
    key_id: KeyId,
    overlap: Annotated[
        int, typer.Option(min=0, max=OVERLAP_SECONDS_MAX, help="Seconds for which the secret before holds as well.")
    ] = OVERLAP_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Give a key a new secret, shown once. Its id stays, and for a while the secret before holds as well."""
    settings = read_settings()
    with plain_errors(), open_key_ring(settings) as ring:
        try:
            key = ring.rotate(key_id, overlap)
        except CannotChange:
            fail(f"There is no key {key_id} that could be rotated.")
        _show(key, as_json=as_json)
        if replace_first_key(settings, key):
            err.print("The file that it is kept in has the new secret.")


@keys.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List the keys, without their secrets."""
    table = Table("key", "name", "scopes", "confined to", "created", "expires", "revoked", "last used")
    with plain_errors(), open_key_ring(read_settings()) as ring:
        keys = ring.list()
    if as_json:
        out.print(JSON.encode({"data": keys}).decode(), markup=False)
        return
    for key in keys:
        instants = (key.created_at, key.expires_at, key.revoked_at, key.last_used_at)
        table.add_row(key.key_id, key.name, " ".join(key.scopes), _confinement(key), *map(_minute, instants))
    out.print(table)


@keys.command()
def history(as_json: AsJson = False) -> None:
    """List what was done to keys, when and by whom, oldest first."""
    table = Table("at", "key", "action", "by")
    with plain_errors(), open_key_ring(read_settings()) as ring:
        changes = ring.history()
    if as_json:
        out.print(JSON.encode({"data": changes}).decode(), markup=False)
        return
    for change in changes:
        table.add_row(_minute(change.at), change.key_id, change.action, change.by or "")
    out.print(table)


@keys.command()
def revoke(key_id: KeyId) -> None:
    """Revoke a key, for good; API processes refuse it within seconds."""
    settings = read_settings()
    with plain_errors(), open_key_ring(settings) as ring:
        try:
            ring.revoke(key_id)
        except CannotChange:
            fail(f"There is no key {key_id} that could be revoked.")
        out.print(f"Revoked {key_id}.")
        if forget_first_key(settings, key_id):
            out.print("Deleted the file that it was kept in.")


def _show(key: NewKey, *, as_json: bool) -> None:
    """Print the key alone to standard output, or all of it as JSON."""
    if as_json:
        out.print(JSON.encode(key).decode(), markup=False)
        return
    err.print(f"Key {key.key_id} for {key.name}; it is not shown again:", markup=False)
    out.print(key.key, markup=False)


def _confinement(key: KeyRecord) -> str:
    return " ".join([*key.account_ids, *map(str, key.subscription_ids)])


def _minute(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""


def _check_text(option: str, text: str) -> None:
    if not _TEXT.fullmatch(text):
        fail(f"{option} {json.dumps(text)} must be 1 to 128 characters, none of them a control character.", EXIT_USAGE)


def _subscription_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        fail(f"--subscription {json.dumps(text)} is not the id of a subscription, which is a UUID.", EXIT_USAGE)
