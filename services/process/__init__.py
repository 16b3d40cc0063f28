"""The processes of one service, and what each of them needs to be watched.

supervisor.py   starts, restarts and stops the processes of a service
interpreter.py  settings of Python for a process that serves
projector.py    the role that catches projections up
shared_metrics.py  the metrics of several processes, added up
status_page.py  `/livez` and `/metrics` of a role without an API
progress.py     how long work reports its progress
files.py        small files that only their owner can read
"""
