"""The disputes read model: which disputes there are, and where they stand, a moment behind the events.

A row says where a dispute is recorded and how far; what it says is read from its events.
"""
