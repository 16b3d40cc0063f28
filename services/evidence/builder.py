"""Builds the evidence of a case: every member, the manifest over them, its signature, and the archive around them."""

from datetime import datetime

from services.evidence.archive import pack
from services.evidence.case import Case, Inconsistent, check_chain, facts_of
from services.evidence.documents import (
    charge_document,
    checkpoints_document,
    dispute_document,
    events_document,
    keys_document,
    proofs_document,
    rfc3339,
)
from services.evidence.manifest import FORM, MANIFEST, MEMBERS, SIGNATURE, Manifest, manifest_document, members_of
from services.evidence.report import report_page
from services.integrity.signing import SigningKey

_README = """\
This is evidence of one charge that was disputed, from a Tallystick ledger.

report.html                  for people: open it in a browser
dispute.json, charge.json    the dispute, the charge, its price reckoned again
*-events.ndjson              what was recorded, as it is stored, with the hash chain
proofs.json                  that the events are in the ledger that the checkpoints sign
checkpoints.json, keys.json  the signed checkpoints and the public keys
manifest.json, manifest.sig  the hash of every member, signed

    tallystick verify-evidence FILE

checks all of it, without a network. Compare the key id that it prints with the one that the operator of the ledger has
published: whoever made up a whole file could sign it, but not with that key. docs/reference/evidence-format.md of
Tallystick says how to write another verifier.
"""


def build(case: Case, key: SigningKey, made_at: datetime) -> bytes:
    """Build the signed archive of a case. Raises Inconsistent where its events do not fit together."""
    if not case.subscription or not case.dispute or not case.checkpoints:
        raise Inconsistent("there is nothing to prove")
    subscription_id, dispute_id = case.subscription[0].originator_id, case.dispute[0].originator_id
    check_chain(case.subscription, subscription_id)
    check_chain(case.dispute, dispute_id)
    facts = facts_of(case.subscription, case.dispute)
    keys = {each.key_id: each.public_key for each in case.checkpoints} | {key.key_id: key.public_key}
    contents = {
        "README.txt": _README.encode(),
        "report.html": report_page(case, facts, key_id=key.key_id, made_at=made_at).encode(),
        "dispute.json": dispute_document(facts),
        "charge.json": charge_document(facts),
        "dispute-events.ndjson": events_document(case.dispute),
        "subscription-events.ndjson": events_document(case.subscription),
        "proofs.json": proofs_document(case.proofs),
        "checkpoints.json": checkpoints_document(case.checkpoints),
        "keys.json": keys_document(keys),
    }
    members = {name: contents[name] for name in MEMBERS}
    manifest = Manifest(
        form=FORM,
        made_at=rfc3339(made_at),
        ledger=case.checkpoints[0].ledger.hex(),
        subscription_id=subscription_id,
        dispute_id=dispute_id,
        generation_id=facts.charge.generation_id,
        key_id=key.key_id,
        members=members_of(members),
    )
    document = manifest_document(manifest)
    return pack({**members, MANIFEST: document, SIGNATURE: key.sign(document)})
