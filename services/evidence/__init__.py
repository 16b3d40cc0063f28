"""Evidence: what a ledger knows of one disputed charge, in a file that proves itself without the ledger.

archive.py    packs a zip file of which every byte is determined
builder.py    case -> file
case.py       what evidence is made of, and the facts that follow from it
chart.py      the balance over the cycle, drawn
documents.py  the JSON of evidence
gathering.py  reads a case from a ledger, and alone touches one
manifest.py   the members with their hashes, signed
page.py       the HTML around the report
report.py     the page for people
verify.py     file -> what it proves, or what is wrong with it

`docs/reference/evidence-format.md` has everything that a verifier in another language needs.
"""
