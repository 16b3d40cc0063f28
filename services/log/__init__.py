"""The transparency log by the C2SP specifications, as pure functions: no database, no network, no files.

keys.py         verifier keys, and what signs
note.py         signed notes
checkpoint.py   checkpoints: what a log signs of its tree
tree.py         hashes of RFC 9162 trees, roots, and the check of proofs
tiles.py        tiles: where the hashes of a tree are kept
reading.py      roots and proofs of any tree, out of tiles
growing.py      tiles of a tree to which leaves are added
succession.py   the keys of a log, each handed over by the one before it
cosignature.py  cosignatures of witnesses
policy.py       which witnesses are enough
proof_file.py   proofs that are kept as a file
submission.py   the body with which a checkpoint is submitted to a witness
witness.py      what a witness answers to a submitted checkpoint
"""
