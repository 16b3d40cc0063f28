"""The renewal read model: what each subscription is and when time will next change it."""
