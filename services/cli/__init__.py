"""The `tallystick` command. Each module holds the commands of one concern; `main` puts them together.

Exit status: 0 done, 1 found something wrong, 2 wrong use.

__main__.py         `python -m services.cli`, as the supervisor starts the roles
program.py          all commands in one tree
console.py          settings, logs, output and exit statuses of all commands
progress.py         the progress of long work, as a bar or as lines
roles.py            serve, api, renewals, projector, webhooks, migrate
witness.py          a witness of logs
keys.py             keys create, list and revoke
catalogue.py        catalogue check, diff and adopt
history.py          the events of a subscription
as_of.py            a subscription as it was
what_if.py          all subscriptions replayed with a change, and what that found settled
verify.py           the check of the whole ledger
verify_evidence.py  the check of an evidence file, offline
verify_receipt.py   the check of a receipt, offline
pinned_files.py     files checked offline, and what was written down before
checkpoint.py       seals, and prints the newest note
rebuild.py          read models made anew
transfer.py         export and import
books.py            what each event moved, as files, and the proof of them
demo.py             a made-up ledger
backup.py           back-ups, and ledgers made of them
doctor.py           what is well, and what is not
psql.py             a shell in the ledger's database
"""

from services.cli.program import main

__all__ = ["main"]
