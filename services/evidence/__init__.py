"""Evidence of a disputed charge and receipts of charges: files that prove themselves without the ledger.

archive.py      packs a zip file of which every byte is determined
builder.py      case -> file
case.py         what evidence is made of, and the facts that follow from it
chart.py        the balance over the cycle, drawn
claims.py       what events say, checked against those before them
documents.py    the JSON of evidence
entries.py      events as the bytes that their leaves in the log are hashed from
faults.py       what is raised for a file that does not hold
gathering.py    reads a case from a ledger, and alone touches one
lineage.py      from the keys and checkpoints that were written down to the one of a file
manifest.py     the members with their hashes, signed
page.py         the HTML around the report
pins.py         reads what was written down of a log
proving.py      proofs, out of the tiles of a log
refusals.py     refusals around a charge, in a log of their own
receipt.py      the proof of one charge, which the customer keeps
report.py       the page for people
stored_form.py  the form in which the ledger stores events
strict_json.py  JSON that can be read in one way only
verify.py       file -> what it proves, or what is wrong with it

`docs/reference/evidence-format.md` has everything that a verifier in another language needs.
"""
