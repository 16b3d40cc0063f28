"""Random lives of subscriptions, lived through HTTP and by a model that was written from the specification alone.

model.py     a subscription as the rules have it: charges, holds, upgrades, time
requests.py  random requests, put to both, and what must be equal after each
"""
