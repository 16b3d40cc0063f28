"""The subscription aggregate: credit rules R1 to R14 as pure functions.

    commands.py   what may be asked            refusals.py   why it may be refused
    decide.py     command -> events | refusal  events.py     what happened
    state.py      events -> state              boundaries.py resets, renewals and ends that time brings
    calendar.py   months counted from an anchor
    terms.py      what the rules ask of a catalogue
    what_if.py    history replayed with a change, from its recorded_commands.py

Nothing here reads a clock, a file or a global: instants, prices and ids are passed in.
"""
