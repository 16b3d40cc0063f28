"""The server side of HTTP: the protocol, the fast path of hot routes, requests and replies."""
