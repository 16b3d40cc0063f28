"""The subscription aggregate: credit rules R1 to R14 as pure functions.

boundaries.py         resets, renewals, ends and expiries that time brings
calendar.py           months counted from an anchor
commands.py           the commands, and the command behind each event
decide.py             command -> events | refusal
events.py             the events, whose stored form stays for ever
holds.py              credits set aside until they are captured, released or expired
movements.py          what an event moves between granted, used, given back, lapsed, held and left
outcomes.py           a recorded outcome against a replayed one
paying.py             whether a generation can be paid for, and by which upgrades it could
recorded_commands.py  recorded events -> the commands behind them, and the terms on which they were decided
refusals.py           the reasons for which a command is refused
state.py              events -> state
statement.py          the events of a cycle -> lines that add up
terms.py              the part of a catalogue that the rules use
what_if.py            history replayed with a change
wording.py            events in words

Nothing here reads a clock, a file or a global: instants, prices and ids are passed in.
"""
