"""The books as files: what each event moved, as NDJSON or Parquet, stamped with a position; and their proof.

form.py       the form: a head, a row for each event that moved credits, an end
ndjson.py     the form as NDJSON
parquet.py    the form as Parquet, where pyarrow is installed
exporting.py  writes the movements after a position
proving.py    proves that files are what the events of a ledger add up to
books.sql     the queries of both
"""
