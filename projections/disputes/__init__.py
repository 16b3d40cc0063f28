"""The disputes read model: which disputes there are and where they stand, a moment behind the events.

A row says where a dispute is recorded and how far it has come. Its details are read from its events.

project.py      the row, made when a dispute is opened, and changed when it is resolved
queries.py      lists disputes
view.py         the public form of a dispute
disputes.sql    the statements of queries
"""
