"""Builds the evidence of a case: every member, the manifest over them, its signature, and the archive around them."""

from datetime import datetime

from services.evidence.archive import pack
from services.evidence.case import Case, check_chain, facts_of, proven_events
from services.evidence.claims import Inconsistent
from services.evidence.documents import (
    charge_document,
    dispute_document,
    events_document,
    keys_document,
    proofs_document,
    refusals_document,
    rfc3339,
)
from services.evidence.manifest import MANIFEST, MEMBERS, Manifest, manifest_text, members_of
from services.evidence.proving import index_of
from services.evidence.receipt import Receipt, write_receipt
from services.evidence.report import report_page
from services.log.keys import Signer
from services.log.note import sign_note

_README = """\
This is evidence of one charge that was disputed, from a Tallystick ledger.

report.html                  for people: open it in a browser
dispute.json, charge.json    the dispute, the charge, its price reckoned again
*-events.ndjson              what was recorded, as it is stored, with the hash chain
refusals.ndjson              what was refused around the charge
charge.tlog-proof            the receipt of the charge: its proof, and the checkpoint of the log
proofs.json, refusals.json   that the rest is in the log, too
keys.txt, witnesses.txt      the keys of the log and of those who watch it
manifest.note                the hash of every member, signed

    tallystick verify-evidence FILE --key VKEY

checks all of it, without a network; so does verify_evidence.py of the documentation, which needs Python alone. Name a
key that you know to be the ledger's: whoever made up a whole file could sign it, but not with that key.
docs/reference/evidence-format.md of Tallystick says how to write another verifier.
"""


def build(case: Case, signer: Signer, made_at: datetime) -> bytes:
    """Build the archive of a case, signed with the log's key. Raises Inconsistent where its events do not fit together.

    It is made no earlier than its events were recorded, whatever the clock says.
    """
    if not case.subscription or not case.dispute:
        raise Inconsistent("there is nothing to prove")
    subscription_id, dispute_id = case.subscription[0].originator_id, case.dispute[0].originator_id
    check_chain(case.subscription, subscription_id)
    check_chain(case.dispute, dispute_id)
    facts = facts_of(case.subscription, case.dispute)
    made_at = max(made_at, case.subscription[-1].recorded_at, case.dispute[-1].recorded_at)
    events = proven_events(facts, case.dispute)
    indexes = {what: index_of(event) for what, event in events.items()}
    receipt = Receipt(events["charge"], indexes["charge"], case.proofs["charge"], case.lineage)
    contents = {
        "README.txt": _README.encode(),
        "report.html": report_page(case, facts, made_at=made_at).encode(),
        "dispute.json": dispute_document(facts),
        "charge.json": charge_document(facts, indexes["charge"]),
        "dispute-events.ndjson": events_document(case.dispute),
        "subscription-events.ndjson": events_document(case.subscription),
        "refusals.ndjson": b"".join(entry + b"\n" for entry in case.refusals.entries),
        "refusals.json": refusals_document(case.refusals),
        "charge.tlog-proof": write_receipt(receipt),
        "proofs.json": proofs_document(
            {what: (indexes[what], case.proofs[what]) for what in ("subscription", "dispute")}
        ),
        "keys.txt": keys_document(case.keys),
        "witnesses.txt": keys_document(case.witnesses),
    }
    members = {name: contents[name] for name in MEMBERS}
    manifest = Manifest(
        made_at=rfc3339(made_at),
        origin=case.lineage.checkpoint.origin,
        subscription_id=subscription_id,
        dispute_id=dispute_id,
        generation_id=facts.charge.generation_id,
        members=members_of(members),
    )
    return pack({**members, MANIFEST: str(sign_note(manifest_text(manifest), [signer])).encode()})
