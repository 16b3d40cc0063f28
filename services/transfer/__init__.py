"""Export and import of a ledger as NDJSON.

lines.py      the form: one kind of line for each kind of record
exporting.py  writes a ledger, exact to the byte
importing.py  reads one into an empty schema: all of it, checked, or nothing
books/        what each event moved, as NDJSON or Parquet, and the proof of such files
transfer.sql  the queries of export and import
"""
