"""The read models: each folds the ledger's events into rows and answers queries from them."""
