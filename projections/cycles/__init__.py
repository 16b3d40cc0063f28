"""The cycles read model: with which version each credit cycle of a subscription began, and on which plan.

project.py     the row, made by what begins a cycle, and changed by the renewal of a term
queries.py     says on which plan something was recorded, and which cycles there are
cycles.sql     the statements of queries
"""
