"""Examples of the log: notes that were signed, by keys that were made for them."""

from datetime import UTC, datetime

from services.http.log_views import CheckpointView, CosignatureView

_ORIGIN = "tallystick/4b1f6a6d1c0c4a5e9d8e7f0a1b2c3d4e"
_ROOT = "sqJpFqdND+YWFoLVOQ6sHdflp+tLbEDMg4AbFyRF1Kg="
_LINE = (
    "— witness.example/w1 1+wyZwAAAABrCMgAZVrIHNz6e9l7byqx+Fs8pYAEoQHUoYPZy+eeS2t8tHU3oObyPXu1vzDOGZJGdPBM5xElskH0"
    "wqeEFY2h0HAADQ==\n"
)

NOTE = f"""{_ORIGIN}
1874
{_ROOT}

— {_ORIGIN} pAUTlaC7/bmhoZ+2hwmDdeKo8OOkeMW7krk2K0yg1D1BV087fELFQMRYLaJwcnAhyCHfqzPjTzU4nU8Dx+hla4GKJAQ=
{_LINE}"""
KEYS = f"{_ORIGIN}+a4051395+AUQpkwZQBKoeTEj03QFYGUwCNJvMZkzZbkAOommRio1R\n"
SUBMISSION = f"""old 1600
nAd4K8aD/yPre05Qh6hVQf6K+1h7GA9hO5XkHwSv8mM=
UBjvBHig6+2ymO0rfMpOWs6yfPJn5fTRFDMnmEhLZC0=
OlXjdOhrVMoNKpN5HZ62W2D9+hn+Agt4dGA3vMVjk8M=
pmGFJC/8G1mfVD+b0FDSYzlfR4sD6Cbja8/Npegmxo0=
CS+RtOizLMM8xzkTfWCC0DXbOeBHU4VtwMTSTFrRfK8=
fZwu+gY0t2FXtgwHaWtHU6wlsf0yRTn8zV0sY4qMArk=

{NOTE}"""
REFUSALS_NOTE = f"""{_ORIGIN}/refusals
3
cl1SMNto9VdHDcNfHYhlgTrNfrsHrRUndBQd7LrnEyc=

— {_ORIGIN}/refusals 3p3Ixbj0q+K4U6bjIYFEPv6Lb2tzJTrn2YNO06YS6+OobgcKxGUCLWOfX0fUrPpkP/+sYccNB0jTNJp/eYxCFPs1kg0=
"""
REFUSALS_KEYS = f"{_ORIGIN}/refusals+de9dc8c5+AUQpkwZQBKoeTEj03QFYGUwCNJvMZkzZbkAOommRio1R\n"
TILE = "(the hashes, 32 bytes each)"
CHECKPOINT = CheckpointView(
    size=1874,
    root=_ROOT,
    note=NOTE,
    signed_at=datetime(2026, 11, 27, tzinfo=UTC),
    handover=False,
    cosignatures=[CosignatureView("witness.example/w1", 1_795_737_600, _LINE)],
)
