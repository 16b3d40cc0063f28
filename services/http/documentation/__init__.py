"""The OpenAPI document and the page that shows it.

openapi.py             makes the document from signatures and documentation
operations.py          the documentation of a route: statuses, refusals, examples
examples.py            examples of one subscription's first month
audit_examples.py      examples of disputes
log_examples.py        examples of the log
statement_examples.py  examples of statements
page.py                serves the document and the page
"""
