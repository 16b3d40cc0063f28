"""Evidence: what a ledger knows of one disputed charge, in a file that proves itself without the ledger.

    archive.py    a zip of which every byte is determined      manifest.py  what is in it, hashed and signed
    case.py       what goes in, as read from a ledger           documents.py its JSON, as the format has it
    builder.py    case -> file                                  verify.py    file -> what it proves, or what is wrong
    report.py     the page for people                           chart.py     the balance over the cycle, drawn
    gathering.py  reads a case from a ledger, and alone touches one

`docs/reference/evidence-format.md` has everything that a verifier in another language needs.
"""
