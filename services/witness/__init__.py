"""A witness of logs (C2SP tlog-witness): it cosigns what extends the newest tree that it saw of each log.

It needs no database. What it decides by is in `services/log/witness.py`.

memory.py  what it saw of each log, in a folder, synced before it answers
server.py  answers over HTTP
"""
