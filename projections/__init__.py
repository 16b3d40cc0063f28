"""The read models: tables of rows made from the ledger's events, and the queries that answer from them.

declaration.py      how a projection declares its table, its rows and how events become rows; pure
registry.py         the list of all projections
statements.py       SQL that writes rows, generated from a declaration
writers.py          write what events make of a projection's rows, for live writes and for catching up
ledger_events.py    reads events in the order of the ledger
engine.py           runs the catch-up projections
positions.py        how far each catch-up projection has come
balance/            the credits of each subscription; inline
renewal/            the state of each subscription and when time changes it next; inline
charges/            which generations were charged or held, and what became of them; inline
holds/              what is held, and what became of it, as read from the charges table
disputed_charges/   which charge each dispute is about, and whether the dispute is open; inline
cycles/             with which version each cycle began, and on which plan; catch-up
usage/              charges and credits by day, cycle, plan, model, asset type and member; catch-up
disputes/           where each dispute stands; catch-up
movements/          what each event moves, for trial balances; catch-up
rebuilding/         rebuilds read models from the events while writes go on
"""
