"""The server side of HTTP, from the socket to a handler.

limits.py         bounds of connections in number, size and time
joined_writes.py  a transport that makes one system call of a response
wire.py           uvicorn's protocol; plain requests to hot routes leave it here
edge.py           the ASGI app: the fast path, and FastAPI behind it
fast_path.py      finds the hot route of a request and calls its handler
exchange.py       a request: its id, credentials and body
reply.py          an answer, and the JSON encoder
shared_reads.py   balance reads that share queries
"""
