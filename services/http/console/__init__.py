"""The console: pages for support agents and auditors, who look rather than read. `/console`.

sessions.py       who is signed in, for which key, in the database; sessions.sql has the statements
pages.py          a page: who may see it, its form's token, its headers, and what becomes of an error
rendering.py      templates, with the filters that they need
sentences.py      an event, and a charge, in a sentence
course.py         the balance over the events of a subscription, drawn as steps
assets.py         the style sheet and the script, served
sign_in.py        sign in and out
search.py         one box for every id
subscriptions.py  a subscription at any instant, and a charge of it
replays.py        what if
disputes.py       the queue, and the decision of one
books.py          statement, usage, trial balance, renewals
routes.py         the routes of all pages
health.py         the ledger's health
"""
