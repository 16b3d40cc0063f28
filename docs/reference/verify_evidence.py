"""Verifies receipts and evidence of a Tallystick ledger, with nothing but Python 3.11 and its standard library.

    python verify_evidence.py FILE [--key VKEY]... [--checkpoint FILE]...

It needs no server, no network and nothing of Tallystick's: it is written from `evidence-format.md` beside it.
Exit status: 0 the file holds; 1 it does not, or a pin is not reached; 2 no such file, no vkey, no note.
"""

import argparse
import json
import re
import struct
import sys
from base64 import b64encode
from binascii import a2b_base64
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from hashlib import sha256, sha512
from math import ceil
from pathlib import Path
from uuid import UUID
from zlib import crc32


class DoesNotHold(Exception):
    """The file does not hold."""


class NoPin(Exception):
    """What was given as a key or as a checkpoint is none."""


def check(holds, why):
    """Raise DoesNotHold unless it holds."""
    if not holds:
        raise DoesNotHold(why)


# Ed25519, as RFC 8032 has it: section 5.1.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)


def add(one, other):
    """Add two points, in extended coordinates."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c, d = 2 * one[3] * other[3] * D % P, 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply_both(scalar, point, other_scalar, other):
    """Multiply two points by numbers below 2^256, and add the products."""
    picked = (None, point, other, add(point, other))
    product = NEUTRAL
    for bit in reversed(range(256)):
        product = add(product, product)
        pick = (scalar >> bit & 1) | (other_scalar >> bit & 1) << 1
        product = add(product, picked[pick]) if pick else product
    return product


def encode_point(point):
    """Return the 32 bytes of a point."""
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode_point(content):
    """Return the point of 32 bytes; None where they are not the one encoding of a point."""
    sign, y = divmod(int.from_bytes(content, "little"), 2**255)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_OF_MINUS_1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def is_signed(public_key, message, signature):
    """Tell whether 64 bytes are the key's signature of the message. S must be below the order of the group."""
    point, s = decode_point(public_key), int.from_bytes(signature[32:], "little")
    if point is None or len(signature) != 64 or s >= ORDER:
        return False
    h = int.from_bytes(sha512(signature[:32] + public_key + message).digest(), "little") % ORDER
    minus = (P - point[0], point[1], 1, P - point[3])
    return encode_point(multiply_both(s, BASE, h, minus)) == signature[:32]


# Strict JSON, and canonical JSON (RFC 8785; what is written here has no number but whole ones).

NUMBER_DIGITS_MAX = 80
DEPTH_MAX = 100


def as_object(pairs):
    """Make an object of its members."""
    check(len(dict(pairs)) == len(pairs), "an object has two equal keys")
    return dict(pairs)


def as_whole(text):
    """Read a whole number."""
    check(len(text) <= NUMBER_DIGITS_MAX, "a number has too many digits")
    return int(text)


def as_decimal(text):
    """Read another number."""
    number = Decimal(text)
    small = len(text) <= NUMBER_DIGITS_MAX and abs(number.adjusted()) <= NUMBER_DIGITS_MAX
    check(small, "a number is beyond those of a ledger")
    return number


def as_constant(name):
    """Refuse NaN and Infinity."""
    check(False, f"{name} is no number of JSON")


READING = {
    "object_pairs_hook": as_object,
    "parse_int": as_whole,
    "parse_float": as_decimal,
    "parse_constant": as_constant,
}


def read_json(content, what):
    """Read JSON."""
    try:
        read = json.loads(content.decode(), **READING)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise DoesNotHold(f"{what}: no JSON: {error}") from None
    is_nested = content.count(b"[") + content.count(b"{") > DEPTH_MAX
    check(not (is_nested and is_deeper(read, DEPTH_MAX)), f"{what}: too many objects and arrays stand in each other")
    return read


def is_deeper(value, levels):
    """Tell whether more objects and arrays than so many stand in each other."""
    if not isinstance(value, dict | list):
        return False
    members = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deeper(each, levels - 1) for each in members)


def dump(value):
    """Write canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def read_canonical(content, what, form):
    """Read canonical JSON of a form: see `fits`."""
    value = read_json(content, what)
    try:
        check(dump(value) == content, f"{what}: it is not canonical JSON")
    except (TypeError, UnicodeError):
        raise DoesNotHold(f"{what}: it is not canonical JSON") from None
    check(fits(value, form), f"{what}: it is not of its form")
    return value


# Forms of values: a type; a list of one form; an object with exactly these members.


def fits(value, form):
    """Tell whether a value is of a form."""
    if isinstance(form, list):
        return isinstance(value, list) and all(fits(each, form[0]) for each in value)
    if isinstance(form, dict):
        has_all = isinstance(value, dict) and value.keys() == form.keys()
        return has_all and all(fits(value[name], form[name]) for name in form)
    if form is int:
        return type(value) is int and abs(value) < 2**53
    return type(value) is form


# Base64, hashes, sizes.


def base64(text, what="base64"):
    """Decode base64 of the one canonical form."""
    try:
        content = a2b_base64(text, strict_mode=True)
    except ValueError:
        raise DoesNotHold(f"{what}: no base64") from None
    check(b64encode(content).decode() == text, f"{what}: no canonical base64")
    return content


def hash_of_line(text):
    """Decode a hash in base64."""
    content = base64(text, "a hash")
    check(len(content) == 32, "a hash has 32 bytes")
    return content


def size_of(text):
    """Read a size: decimal, without leading zeros."""
    check(re.fullmatch("0|[1-9][0-9]{0,18}", text) and int(text) < 2**63, f"no size: {text[:40]}")
    return int(text)


# Keys, notes and checkpoints: C2SP signed-note, tlog-checkpoint, tlog-cosignature.

ED25519, COSIGNATURE = 1, 4
EMPTY_ROOT = sha256(b"").digest()
Key = namedtuple("Key", "name public_key kind")
Note = namedtuple("Note", "text signatures")  # signatures: of (name, key id, bytes)
Checkpoint = namedtuple("Checkpoint", "origin size root next_key")


def key_id(key):
    """Return the four bytes that name a key beside its name."""
    return sha256(key.name.encode() + b"\n" + bytes([key.kind]) + key.public_key).digest()[:4]


def vkey(key):
    """Write a verifier key."""
    return f"{key.name}+{key_id(key).hex()}+{b64encode(bytes([key.kind]) + key.public_key).decode()}"


def is_name(name):
    """Tell whether a key may have the name."""
    return bool(name) and not any(each.isspace() or each == "+" or each < " " or each == "\x7f" for each in name)


def read_vkey(text):
    """Read a verifier key."""
    name, _, rest = text.partition("+")
    encoded = rest.partition("+")[2]
    material = base64(encoded, "a vkey")
    check(len(material) == 33 and material[0] in (ED25519, COSIGNATURE), f"{text}: a kind that is not known here")
    key = Key(name, material[1:], material[0])
    check(is_name(name) and vkey(key) == text, f"{text}: no vkey")
    return key


def read_note(whole):
    """Read a signed note."""
    check(len(whole.encode()) <= 1_000_000, "a note is too large")
    check(not any(each < " " and each != "\n" for each in whole), "a note has control characters")
    body, separator, below = whole.rpartition("\n\n")
    check(separator and below.endswith("\n"), "a note ends in an empty line and lines of signatures")
    lines = below.removesuffix("\n").split("\n")
    check(len(lines) <= 100, "a note has too many signatures")
    return Note(body + "\n", [read_signature(line) for line in lines])


def read_signature(line):
    """Read a line of a signature."""
    name, space, encoded = line.removeprefix("— ").partition(" ")
    check(line.startswith("— ") and space and is_name(name), f"no line of a signature: {line!r}")
    content = base64(encoded, "a signature")
    check(len(content) > 4, "a signature is cut short")
    return name, content[:4], content[4:]


def read_checkpoint(text):
    """Read the checkpoint that the text of a note is."""
    lines = text.split("\n")
    check(len(lines) >= 4 and not lines[-1] and all(lines[:-1]), "no checkpoint")
    size, root = size_of(lines[1]), hash_of_line(lines[2])
    check(size or root == EMPTY_ROOT, "an empty tree has another root")
    return Checkpoint(lines[0], size, root, next_key_of(lines[0], lines[3:-1]))


def next_key_of(origin, extensions):
    """Return the key that a checkpoint hands over to; None where there is none."""
    if len(extensions) != 1 or not extensions[0].startswith("next "):
        return None
    try:
        key = read_vkey(extensions[0].removeprefix("next "))
    except DoesNotHold:
        return None
    return key if key.name == origin and key.kind == ED25519 else None


def has_signed(key, note):
    """Tell whether a key has signed a note: None where it has no line there, False where its line is wrong."""
    for name, id_, signature in note.signatures:
        if (name, id_) == (key.name, key_id(key)):
            if key.kind == ED25519:
                return is_signed(key.public_key, note.text.encode(), signature)
            time = int.from_bytes(signature[:8], "big")
            message = f"cosignature/v1\ntime {time}\n{note.text}".encode()
            return len(signature) == 72 and 0 < time < 2**63 and is_signed(key.public_key, message, signature[8:])
    return None


# Trees: RFC 9162, sections 2.1.3.2 and 2.1.4.2.


def node(left, right):
    """Hash an inner node."""
    return sha256(b"\x01" + left + right).digest()


def is_included(leaf, index, size, hashes, root):
    """Tell whether the hashes lead from a leaf to the root."""
    if not 0 <= index < size:
        return False
    last, reached = size - 1, leaf
    for each in hashes:
        if last == 0:
            return False
        if index & 1 or index == last:
            reached = node(each, reached)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            reached = node(reached, each)
        index, last = index >> 1, last >> 1
    return last == 0 and reached == root


def is_consistent(size, later_size, hashes, root, later_root):
    """Tell whether the tree of the later size begins with that of the earlier one."""
    if size == later_size:
        return not hashes and root == later_root
    if size == 0:
        return not hashes and root == EMPTY_ROOT
    steps = [root, *hashes] if size & (size - 1) == 0 else list(hashes)
    if size > later_size or not steps:
        return False
    index, last = size - 1, later_size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    earlier = later = steps[0]
    for each in steps[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            earlier, later = node(each, earlier), node(each, later)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            later = node(later, each)
        index, last = index >> 1, last >> 1
    return last == 0 and earlier == root and later == later_root


# Pins, and how a file leads to them.

Pins = namedtuple("Pins", "keys notes proofs", defaults=((), (), ()))
Proof = namedtuple("Proof", "from_size to_size hashes")
Lineage = namedtuple("Lineage", "note handovers proofs")


def read_pins(vkeys, contents):
    """Read vkeys, and files with notes and answers of `/v1/checkpoints/proof`."""
    keys, notes, proofs = [], [], []
    try:
        keys = [read_vkey(each) for each in vkeys]
        for content in contents:
            for block in blocks_of(content.decode()):
                note = read_note(block.partition("\n\n")[2] if block.startswith("old ") else block)
                size = read_checkpoint(note.text).size
                if block.startswith("old "):
                    old, *hashes = block.partition("\n\n")[0].split("\n")
                    check(len(hashes) <= 63, "a proof is too long")
                    proofs.append(Proof(size_of(old.removeprefix("old ")), size, list(map(hash_of_line, hashes))))
                notes.append(note)
    except (DoesNotHold, ValueError) as error:
        raise NoPin(str(error)) from None
    return Pins(keys, notes, proofs)


def blocks_of(text):
    """Split a text after each run of lines of signatures."""
    blocks, lines = [], []
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        if lines and lines[-1].startswith("— ") and not line.startswith("— "):
            blocks.append("".join(lines))
            lines = []
        lines.append(line)
    return [*blocks, "".join(lines)]


def check_lineage(lineage, pins, first_keys, witnesses=()):
    """Check signatures, hand-overs and pins. Return the keys of the log, and the witnesses that cosigned."""
    newest = read_checkpoint(lineage.note.text)
    handed_over = check_handovers(lineage.handovers, newest)
    first_note = [*lineage.handovers, lineage.note][0]
    of_log = [key for key in first_keys if key.name == newest.origin]
    first = [key for key in of_log if key not in handed_over and has_signed(key, first_note)][:1]
    check(first or any(key in handed_over for key in of_log), "no key that is known leads to the checkpoint's")
    keys = [*first, *handed_over]
    check(all(decode_point(key.public_key) for key in [*pins.keys, *keys, *witnesses]), "a key is none of Ed25519")
    check(has_signed(keys[-1], lineage.note), "the checkpoint is not signed by the newest key of the log")
    pinned_log_keys = [key for key in pins.keys if key.kind == ED25519]
    pinned_witnesses = [key for key in pins.keys if key.kind == COSIGNATURE]
    cosigned_by = []
    for key in dict.fromkeys([*witnesses, *pinned_witnesses]):
        has = has_signed(key, lineage.note)
        check(has is not False, f"the cosignature of {key.name} is wrong")
        check(has or key not in pinned_witnesses, f"{key.name} has not cosigned the checkpoint")
        cosigned_by += [key] if has else []
    check(not pinned_log_keys or any(key in keys for key in pinned_log_keys), "no key that is pinned is of this log")
    check_pinned_checkpoints(lineage, newest, pins, [*keys, *pins.keys])
    return keys, cosigned_by


def check_handovers(handovers, newest):
    """Check each hand-over, and return the keys that they lead to."""
    keys, size = [], 0
    for note in handovers:
        checkpoint = read_checkpoint(note.text)
        key = checkpoint.next_key
        check(checkpoint.origin == newest.origin and key and key not in keys, "a hand-over names no new key")
        check(len(note.signatures) == 2, "a hand-over is signed by others")
        check(size <= checkpoint.size <= newest.size, "a hand-over is out of order")
        check(all(has_signed(each, note) for each in (*keys[-1:], key)), "a hand-over is not signed by both keys")
        keys.append(key)
        size = checkpoint.size
    return keys


def check_pinned_checkpoints(lineage, newest, pins, keys):
    """Check that each checkpoint that is pinned is of the log of the newest."""
    pinned = [read_checkpoint(note.text) for note in pins.notes]
    for note, checkpoint in zip(pins.notes, pinned, strict=True):
        check(checkpoint.origin == newest.origin, "the pinned checkpoint is of another log")
        found = [has_signed(key, note) for key in keys]
        check(any(found) and False not in found, "the pinned checkpoint is not signed by a key that is known")
    roots = {0: EMPTY_ROOT}
    for each in [newest, *(read_checkpoint(note.text) for note in lineage.handovers), *pinned]:
        check(roots.setdefault(each.size, each.root) == each.root, f"there are two trees of size {each.size}")
    edges = set()
    for start, end, hashes in [*lineage.proofs, *pins.proofs]:
        if start in roots and end in roots:
            check(is_consistent(start, end, hashes, roots[start], roots[end]), "a proof of consistency is wrong")
            edges.add((start, end))
    reached = {newest.size}
    for start, end in sorted(edges):
        reached |= {end} if start in reached else set()
    for start, end in sorted(edges, key=lambda edge: -edge[1]):
        reached |= {start} if end in reached else set()
    for each in pinned:
        low, high = sorted((each.size, newest.size))
        message = f"the pinned checkpoint cannot be reached: get /v1/checkpoints/proof?from={low}&to={high}"
        check(each.size in reached or each.size == 0, message)


# Entries: events as the log has them.

Event = namedtuple("Event", "stream_id version recorded_at previous_hash topic state")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ENTRY = struct.Struct(">16sQq32sH")


def entry_of(event):
    """Write the entry of an event."""
    topic = event.topic.encode()
    microseconds = (event.recorded_at - EPOCH) // timedelta(microseconds=1)
    head = (UUID(event.stream_id).bytes, event.version, microseconds, event.previous_hash, len(topic))
    return ENTRY.pack(*head) + topic + event.state


def leaf_of(event):
    """Hash the entry of an event: its hash in the chain, and its leaf in the log."""
    return sha256(b"\x00" + entry_of(event)).digest()


def read_entry(entry):
    """Read the event of an entry."""
    check(len(entry) >= ENTRY.size, "an entry is too short")
    stream_id, version, microseconds, previous_hash, length = ENTRY.unpack_from(entry)
    topic, state = entry[ENTRY.size : ENTRY.size + length], entry[ENTRY.size + length :]
    check(len(topic) == length and 0 < version < 2**63, "no entry")
    try:
        recorded_at = EPOCH + timedelta(microseconds=microseconds)
        return Event(str(UUID(bytes=stream_id)), version, recorded_at, previous_hash, topic.decode(), state)
    except (OverflowError, UnicodeError) as error:
        raise DoesNotHold(f"no entry: {error}") from None


# The stored JSON of an event, `{"data": {...}, "metadata": {...}}`. A form is a type, the set of all values, a list of
# one form, one of several forms, or an object, which may have more members. A member whose name ends with `?` may be
# absent or null; with `=`, absent. An object with `!` has no others; one with `*` has any names, with values of a form.

WHOLE, TEXT, DECIMAL, INSTANT, ID = "a whole number", "a text", "a decimal", "an instant", "a UUID"
FLAG = "true or false"
ASSET_TYPE = {"voiceover", "image", "video", "music"}
CREDIT_TO = {"original_cycle", "current_cycle"}
PERIOD = {"number": WHOLE, "starts_at": INSTANT, "ends_at": INSTANT}
PLAN = {
    "plan_id": TEXT,
    "name": TEXT,
    "tier": WHOLE,
    "monthly_credits": WHOLE,
    "billing_period": {"monthly", "yearly"},
    "asset_types": [ASSET_TYPE],
    "price?": {"amount": TEXT, "currency": TEXT},
}
SETTINGS = {"duration_seconds?": DECIMAL, "count?": WHOLE, "resolution?": TEXT, "characters?": WHOLE, "!": None}
PRICE = {"rate_card": TEXT, "rule": TEXT, "unit": TEXT, "quantity": DECIMAL, "credits_per_unit": DECIMAL}
ALERT = {"threshold": TEXT, "available_credits": WHOLE, "granted_credits": WHOLE, "crossed_at": INSTANT}
MODEL = {"model": TEXT, "asset_type": ASSET_TYPE}
CARD_ENTRY = (
    {
        "rule": {"per_track"},
        **MODEL,
        "credits?": DECIMAL,
        "bands=": [{"up_to_seconds?": DECIMAL, "credits": DECIMAL}],
    },
    {"rule": {"per_second"}, **MODEL, "credits": DECIMAL},
    {"rule": {"per_image"}, **MODEL, "credits": DECIMAL, "resolutions=": {"*": DECIMAL}},
    {"rule": {"per_1000_characters"}, **MODEL, "credits": DECIMAL},
)
SUBSCRIPTION_EVENTS = {
    "SubscriptionStarted": {
        "account_id": TEXT,
        "plan": PLAN,
        "cycle": PERIOD,
        "term": PERIOD,
        "test_clock_id?": TEXT,
        "anchor_at?": INSTANT,
        "started_at?": INSTANT,
    },
    "CreditsGranted": {"credits": WHOLE, "cycle_number": WHOLE, "used_credits=": WHOLE},
    "GenerationCharged": {
        "generation_id": TEXT,
        "model": TEXT,
        "asset_type": ASSET_TYPE,
        "settings": SETTINGS,
        "credits": WHOLE,
        "price": PRICE,
        "balance_after": WHOLE,
        "cycle_number": WHOLE,
        "alerts=": [ALERT],
        "member?": TEXT,
        "held_credits?": WHOLE,
        "is_late=": FLAG,
    },
    "CreditsHeld": {
        "generation_id": TEXT,
        "model": TEXT,
        "asset_type": ASSET_TYPE,
        "settings": SETTINGS,
        "credits": WHOLE,
        "price": PRICE,
        "entry": CARD_ENTRY,
        "expires_in_seconds": WHOLE,
        "expires_at": INSTANT,
        "available_after": WHOLE,
        "cycle_number": WHOLE,
        "member?": TEXT,
        "alerts=": [ALERT],
    },
    "HoldReleased": {
        "generation_id": TEXT,
        "credits": WHOLE,
        "cause": {"released", "expired"},
        "cycle_number": WHOLE,
        "lapsed_credits=": WHOLE,
        "reason?": TEXT,
    },
    "PlanUpgraded": {
        "from_plan_id": TEXT,
        "plan": PLAN,
        "policy": {"deduct_used", "add_leftover", "fresh"},
        "balance_before": WHOLE,
        "granted_credits": WHOLE,
        "used_credits": WHOLE,
        "reversed_credits": WHOLE,
        "carried_credits": WHOLE,
        "cycle": PERIOD,
        "term": PERIOD,
        "billing_reference?": TEXT,
        "undeducted_credits=": WHOLE,
    },
    "CycleReset": {"cycle": PERIOD, "granted_credits": WHOLE, "lapsed_credits": WHOLE, "held_credits=": WHOLE},
    "TermRenewed": {"term": PERIOD, "plan": PLAN},
    "PlanChangeScheduled": {"plan": PLAN, "effective_at": INSTANT},
    "AlertsChanged": {"alerts?": [TEXT]},
    "PlanChangeUnscheduled": {"kind": {"cancel", "downgrade"}},
    "SubscriptionCancelled": {"when": {"term_end", "now"}, "effective_at": INSTANT},
    "SubscriptionSuspended": {"reason": TEXT},
    "SubscriptionReinstated": {"reason": TEXT},
    "SubscriptionEnded": {"ended_at": INSTANT, "lapsed_credits": WHOLE, "held_credits=": WHOLE},
    "ChargeReversed": {
        "generation_id": TEXT,
        "dispute_id": TEXT,
        "credits": WHOLE,
        "credit_to": CREDIT_TO,
        "cycle_number": WHOLE,
        "balance_after": WHOLE,
        "deducted_credits=": WHOLE,
    },
    "CreditsAdjusted": {
        "credits": WHOLE,
        "run_id": TEXT,
        "reason": TEXT,
        "cycle_number?": WHOLE,
        "alerts=": [ALERT],
    },
}
DISPUTE_EVENTS = {
    "DisputeOpened": {
        "subscription_id": ID,
        "generation_id": TEXT,
        "charge_version": WHOLE,
        "reason": {"unsatisfied", "duplicate", "generation_failed", "not_requested", "wrong_price", "other"},
        "note": TEXT,
    },
    "DisputeResolved": {
        "outcome": {"upheld", "rejected"},
        "note": TEXT,
        "credit_to?": CREDIT_TO,
        "rule?": TEXT,
        "credits?": WHOLE,
    },
}
METADATA = {"key_id": TEXT, "request_id": TEXT, "agent?": TEXT}
STORED_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z")
STORED_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_stored_as(value, form):
    """Tell whether a value of stored JSON is of a form."""
    if isinstance(form, tuple):
        return any(is_stored_as(value, each) for each in form)
    if isinstance(form, dict) and "*" in form:
        return isinstance(value, dict) and all(is_stored_as(each, form["*"]) for each in value.values())
    if isinstance(form, dict):
        if not isinstance(value, dict) or ("!" in form and not {f"{name}?" for name in value} <= form.keys()):
            return False
        return all(is_member(value, name, form[name]) for name in form if name != "!")
    if isinstance(form, list):
        return isinstance(value, list) and all(is_stored_as(each, form[0]) for each in value)
    if form == DECIMAL:
        return type(value) in (int, Decimal)
    if form in (WHOLE, FLAG):
        return type(value) is (int if form == WHOLE else bool)
    if not isinstance(value, str):
        return False
    if form == INSTANT:
        return instant_of(value) is not None
    return form == TEXT or (STORED_ID.fullmatch(value) if form == ID else value in form)


def is_member(members, name, form):
    """Tell whether the member of an object is of its form."""
    plain = name.rstrip("?=")
    if plain not in members or (name.endswith("?") and members[plain] is None):
        return name != plain
    return is_stored_as(members[plain], form)


def instant_of(text):
    """Return the instant of a text in the stored form; None for any other text."""
    if not STORED_INSTANT.fullmatch(text) or text.endswith(".000000Z"):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def data_of(event, forms):
    """Return the data of an event, whose stored JSON is of the form that its topic has."""
    stored = read_json(event.state, event.topic)
    form = {"data": forms.get(event.topic, set()), "metadata": METADATA}
    is_known = is_stored_as(stored, form) and type(stored.get("v", 1)) is int and stored.get("v", 1) == 1
    check(is_known, f"version {event.version} is not stored as the ledger stores {event.topic}")
    return stored["data"]


# Receipts: C2SP tlog-proof.

EXTRA = {"entry": str, "handovers": [str], "consistency": [{"from": int, "hashes": [str]}]}
Receipt = namedtuple("Receipt", "event index hashes lineage")


def read_receipt(content):
    """Read a receipt."""
    try:
        head, separator, note = content.decode().partition("\n\n")
    except UnicodeError:
        raise DoesNotHold("the receipt is no UTF-8") from None
    lines = head.split("\n")
    check(separator and lines[0] == "c2sp.org/tlog-proof@v1" and len(lines) >= 3, "no receipt")
    check(lines[1].startswith("extra ") and lines[2].startswith("index "), "no receipt")
    extra = read_canonical(base64(lines[1].removeprefix("extra ")), "extra", EXTRA)
    hashes = [hash_of_line(line) for line in lines[3:]]
    note = read_note(note)
    size = read_checkpoint(note.text).size
    proofs = [
        Proof(each["from"], size, [hash_of_line(line) for line in each["hashes"]]) for each in extra["consistency"]
    ]
    check(all(len(each) <= 63 for each in (hashes, *(proof.hashes for proof in proofs))), "a proof is too long")
    lineage = Lineage(note, [read_note(each) for each in extra["handovers"]], proofs)
    event = read_entry(base64(extra["entry"]))
    return Receipt(event, size_of(lines[2].removeprefix("index ")), hashes, lineage)


def check_receipt(content, pins):
    """Check a receipt. Return its charge, and who signed."""
    receipt = read_receipt(content)
    check(receipt.event.topic == "GenerationCharged", "the event is no charge")
    charge = data_of(receipt.event, SUBSCRIPTION_EVENTS)
    signed_by = check_lineage(receipt.lineage, pins, [key for key in pins.keys if key.kind == ED25519])
    newest = read_checkpoint(receipt.lineage.note.text)
    is_there = is_included(leaf_of(receipt.event), receipt.index, newest.size, receipt.hashes, newest.root)
    check(is_there, "the charge is not in the tree of the checkpoint")
    return charge, signed_by


# The archive: a zip without compression, in which every field has one value.

MEMBERS = """README.txt report.html dispute.json charge.json dispute-events.ndjson subscription-events.ndjson
    refusals.ndjson refusals.json charge.tlog-proof proofs.json keys.txt witnesses.txt manifest.note""".split()


def read_zip(archive):
    """Read the members, and check that the archive is the one that they make."""
    members, offset, local, central = {}, 0, [], []
    while archive[offset : offset + 4] == b"PK\3\4":
        check(len(members) < 100 and len(archive) >= offset + 30, "no archive of evidence")
        size, length = struct.unpack_from("<IH", archive, offset + 22)
        begin = offset + 30 + length
        name, content = archive[offset + 30 : begin], archive[begin : begin + size]
        check(len(name) == length and len(content) == size and name not in members, "no archive of evidence")
        facts = struct.pack("<HHIIIH", 0, 33, crc32(content), size, size, length)
        local += [b"PK\3\4", struct.pack("<HHH", 20, 0, 0), facts, bytes(2), name, content]
        central += [b"PK\1\2", struct.pack("<HHHH", 20, 20, 0, 0), facts, bytes(12), struct.pack("<I", offset), name]
        members[name] = content
        offset = begin + size
    size = sum(map(len, central))
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(members), len(members), size, offset, 0)
    check(b"".join([*local, *central, end]) == archive, "the archive is not what its members make it")
    check(list(members) == [name.encode() for name in MEMBERS], "the archive has other members")
    return {name.decode(): content for name, content in members.items()}


def lines_of(content, what):
    """Split a member that has lines, each with its end."""
    check(not content or content.endswith(b"\n"), f"{what}: its last line has no end")
    return content.split(b"\n")[:-1]


def text_of(content, what):
    """Decode a member."""
    try:
        return content.decode()
    except UnicodeError:
        raise DoesNotHold(f"{what}: no UTF-8") from None


# Evidence.

MANIFEST = {
    "made_at": str,
    "origin": str,
    "subscription_id": str,
    "dispute_id": str,
    "generation_id": str,
    "members": [{"name": str, "size": int, "sha256": str}],
}
LINE = {
    "stream_id": str,
    "version": int,
    "recorded_at": str,
    "topic": str,
    "state": str,
    "previous_hash": str,
    "hash": str,
}
PROOFS = [{"what": str, "index": int, "hashes": [str]}]
REFUSALS = {"note": str, "handovers": [str], "proofs": [[str]]}


def check_evidence(archive, pins):
    """Check evidence. Return the charge, and who signed."""
    members = read_zip(archive)
    keys, witnesses = (
        [read_vkey(text_of(line, name)) for line in lines_of(members[name], name)] for name in MEMBERS[10:12]
    )
    check(keys and all((key.name, key.kind) == (keys[0].name, ED25519) for key in keys), "keys.txt: not of one log")
    check(all(key.kind == COSIGNATURE for key in witnesses), "witnesses.txt: not of witnesses")
    manifest = check_manifest(members, keys)
    receipt = read_receipt(members["charge.tlog-proof"])
    lineage = receipt.lineage
    signed_by = check_lineage(lineage, pins, keys[:1], witnesses)
    check(signed_by[0] == keys, "keys.txt: other keys than the hand-overs lead to")
    check_signed_by_all(lineage.note, [*keys, *witnesses], "the checkpoint")
    cosigned = [(name, id_) for name, id_, _ in lineage.note.signatures if (name, id_) in list(map(named, witnesses))]
    check(cosigned == list(map(named, witnesses)), "witnesses.txt: not those who cosigned, in their order")
    subscription = read_stream(members["subscription-events.ndjson"], manifest["subscription_id"])
    dispute = read_stream(members["dispute-events.ndjson"], manifest["dispute_id"])
    charge = check_facts(members, manifest, subscription, dispute, receipt.index)
    newest = read_checkpoint(lineage.note.text)
    check(manifest["origin"] == newest.origin, "manifest.note: another log")
    last = max(subscription[-1].recorded_at, dispute[-1].recorded_at)
    made_at = instant_of_document(manifest["made_at"])
    check(made_at and made_at >= last, "manifest.note: it was made before the last event")
    check(entry_of(receipt.event) == entry_of(charge), "charge.tlog-proof: another event than the charge")
    proofs = read_canonical(members["proofs.json"], "proofs.json", PROOFS)
    check([each["what"] for each in proofs] == ["subscription", "dispute"], "proofs.json: other proofs")
    proven = [(charge, receipt.index, receipt.hashes)]
    for event, each in zip((subscription[-1], dispute[-1]), proofs, strict=True):
        proven.append((event, each["index"], read_hashes(each["hashes"])))
    for event, index, hashes in proven:
        check(is_included(leaf_of(event), index, newest.size, hashes, newest.root), "an event is not in the tree")
    check_refusals(members, manifest["subscription_id"], keys)
    return data_of(charge, SUBSCRIPTION_EVENTS), signed_by


def named(key):
    """Return what a line of a signature names a key by."""
    return key.name, key_id(key)


def check_signed_by_all(note, keys, what):
    """Check that each line of a signature is of one of the keys, right, and there once."""
    lines = [(name, id_) for name, id_, _ in note.signatures]
    check(len(set(lines)) == len(lines) and set(lines) <= set(map(named, keys)), f"{what}: signed by others")
    check(all(has_signed(key, note) is not False for key in keys), f"{what}: a signature is wrong")


def read_hashes(lines):
    """Read the hashes of a proof."""
    check(len(lines) <= 63, "a proof is too long")
    return [hash_of_line(line) for line in lines]


def check_manifest(members, keys):
    """Check the manifest, its signature, and each member's size and hash."""
    note = read_note(text_of(members["manifest.note"], "manifest.note"))
    form, _, document = note.text.removesuffix("\n").partition("\n")
    check(form == "tallystick-evidence-2", "manifest.note: another form")
    manifest = read_canonical(document.encode(), "manifest.note", MANIFEST)
    ids = (manifest["subscription_id"], manifest["dispute_id"])
    check(all(map(STORED_ID.fullmatch, ids)), "manifest.note: no ids")
    check(decode_point(keys[-1].public_key), "a key is none of Ed25519")
    check_signed_by_all(note, keys[-1:], "manifest.note")
    actual = [
        {"name": name, "size": len(members[name]), "sha256": sha256(members[name]).hexdigest()} for name in MEMBERS[:-1]
    ]
    check(manifest["members"] == actual, "a member is not what the manifest says")
    return manifest


def instant_of_document(text):
    """Return the instant that a document has, with six digits of a second; None where it is none."""
    return (
        instant_of(text.removesuffix(".000000Z") + "Z" if text.endswith(".000000Z") else text) if "." in text else None
    )


def six(instant):
    """Write an instant with six digits of a second."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def read_stream(content, stream_id):
    """Read the events of a stream, and check its chain."""
    events, previous = [], Event(stream_id, 0, EPOCH, bytes(32), "", b"")
    check(content, "a stream has no events")
    for line in lines_of(content, stream_id):
        read = read_canonical(line, stream_id, LINE)
        check((read["stream_id"], read["version"]) == (stream_id, previous.version + 1), "an event is out of order")
        recorded_at = instant_of_document(read["recorded_at"])
        check(recorded_at and len(read["topic"]) <= 1_000, "an event was recorded at no instant")
        before = leaf_of(previous) if events else bytes(32)
        check(read["previous_hash"] == before.hex(), f"version {read['version']} does not follow from the one before")
        check(not events or recorded_at >= previous.recorded_at, "an event was recorded before the one before it")
        previous = Event(stream_id, read["version"], recorded_at, before, read["topic"], read["state"].encode())
        check(leaf_of(previous).hex() == read["hash"], f"version {read['version']} has another hash")
        events.append(previous)
    return events


# What the events say.


class Subscription:
    """A subscription as its events leave it: what was charged, given back, held, and is held still."""

    def __init__(self):
        self.version = 0
        self.balance = self.undeducted = 0
        self.plan = self.cycle = None
        self.has_ended = self.is_suspended = False
        self.charges, self.given_back, self.ids_held, self.holds = {}, {}, set(), {}
        self.runs = set()

    def take(self, event):
        """Take an event, and check what it says."""
        data = data_of(event, SUBSCRIPTION_EVENTS)
        check((event.topic == "SubscriptionStarted") == (event.version == 1), "it does not start once, at the first")
        is_capture = event.topic == "GenerationCharged" and data.get("held_credits") is not None
        check(not self.has_ended or is_capture or event.topic == "HoldReleased", "it has ended before")
        before, self.version = self.balance, event.version
        match event.topic:
            case "SubscriptionStarted":
                self.plan, self.cycle = data["plan"], data["cycle"]
            case "CreditsGranted":
                granted = (event.version, data["credits"], data["cycle_number"])
                check(granted == (2, self.plan["monthly_credits"], self.cycle["number"]), "it is no first allowance")
                check(data.get("used_credits", 0) >= 0, "less than nothing was used before")
                self.balance += data["credits"] - data.get("used_credits", 0)
            case "GenerationCharged":
                self.charge(event, data)
            case "CreditsHeld":
                self.hold(data)
            case "HoldReleased":
                self.release(event, data)
            case "ChargeReversed":
                self.give_back(data)
            case "CreditsAdjusted":
                check(data["run_id"] not in self.runs, "its run was settled before")
                cycle = self.cycle["number"] if data.get("alerts") else None
                check(data.get("cycle_number") == cycle, "it is of another cycle")
                self.runs.add(data["run_id"])
                self.balance += data["credits"]
            case "CycleReset":
                check(instant_of(data["cycle"]["starts_at"]) <= event.recorded_at, "its cycle begins later")
                self.check_lapse(data)
                self.begin_cycle(data["cycle"], data["cycle"]["starts_at"] == self.cycle["ends_at"])
                self.balance, self.undeducted = data["granted_credits"], 0
            case "TermRenewed":
                self.plan = data["plan"]
            case "PlanUpgraded":
                check(data["from_plan_id"] == self.plan["plan_id"], "it was on another plan")
                check(data["balance_before"] == before, "the balance before it was another one")
                for hold in filter(self.is_current, self.holds.values()):
                    hold["cycle_number"] = data["cycle"]["number"]
                self.begin_cycle(data["cycle"], True)
                self.plan, self.undeducted = data["plan"], data.get("undeducted_credits", 0)
                self.balance = data["granted_credits"] - data["used_credits"] + data["reversed_credits"]
            case "SubscriptionSuspended" | "SubscriptionReinstated":
                self.is_suspended = event.topic == "SubscriptionSuspended"
            case "SubscriptionEnded":
                self.check_lapse(data)
                self.balance, self.has_ended = 0, True
        check(self.available() >= 0, "what is available is below zero")

    def is_current(self, hold):
        """Tell whether a hold is of this cycle."""
        return hold["cycle_number"] == self.cycle["number"] and not self.has_ended

    def held(self):
        """Return the credits of this cycle that are held."""
        return sum(hold["credits"] for hold in self.holds.values() if self.is_current(hold))

    def available(self):
        """Return the credits that are neither spent nor held."""
        return self.balance - self.held()

    def charge(self, event, data):
        """Take a charge, which may be the capture of a hold."""
        id_ = data["generation_id"]
        check(id_ not in self.charges, "it was charged before")
        self.charges[id_] = data
        check_price(data)
        is_late, held = data.get("is_late", False), data.get("held_credits")
        if held is None:
            stated = (data["cycle_number"], is_late)
            check(not self.is_suspended, "it is suspended")
            check(
                id_ not in self.ids_held and stated == (self.cycle["number"], False), "it was held, or of another cycle"
            )
        else:
            check(id_ in self.holds, "nothing is held for it")
            hold = self.holds[id_]
            stated = (held, data["model"], data.get("member"), data["cycle_number"], is_late)
            actual = (
                hold["credits"],
                hold["model"],
                hold.get("member"),
                hold["cycle_number"],
                not self.is_current(hold),
            )
            check(stated == actual and event.recorded_at < instant_of(hold["expires_at"]), "its hold was another")
            check(not is_late or data["credits"] <= hold["credits"], "more is charged than was held")
            del self.holds[id_]
        self.balance -= 0 if is_late else data["credits"]
        check(data["balance_after"] == self.balance, "it states another balance")

    def hold(self, data):
        """Take a hold."""
        id_ = data["generation_id"]
        check(id_ not in self.ids_held and id_ not in self.charges, "it was held or charged before")
        check(not self.is_suspended, "it is suspended")
        entry = data["entry"]
        has_price = entry["rule"] != "per_track" or entry.get("credits") is not None or entry.get("bands")
        check(has_price, "its card has no price")
        self.ids_held.add(id_)
        check_price(data)
        check(data["cycle_number"] == self.cycle["number"], "it is of another cycle")
        self.holds[id_] = dict(data)
        check(data["available_after"] == self.available(), "it states other credits that are available")

    def release(self, event, data):
        """Take the release of a hold, or that it expired."""
        check(data["generation_id"] in self.holds, "nothing is held for it")
        hold = self.holds[data["generation_id"]]
        stated = (data["credits"], data["cycle_number"], data.get("lapsed_credits", 0))
        lapsed = 0 if self.is_current(hold) else hold["credits"]
        check(stated == (hold["credits"], hold["cycle_number"], lapsed), "its hold was another")
        has_expired = event.recorded_at >= instant_of(hold["expires_at"])
        check((data["cause"] == "expired") == has_expired, "its hold ended in another way")
        del self.holds[data["generation_id"]]

    def give_back(self, data):
        """Take a reversal."""
        charge = self.charges.get(data["generation_id"])
        check(charge is not None and data["generation_id"] not in self.given_back, "it was not charged, or given back")
        check(0 < data["credits"] <= charge["credits"], "another amount is given back")
        deducted = data.get("deducted_credits", 0)
        check(0 <= deducted <= min(data["credits"], self.undeducted), "more is deducted than can be")
        self.given_back[data["generation_id"]] = (self.version, data)
        self.balance += data["credits"] - deducted
        self.undeducted -= deducted
        stated = (data["balance_after"], data["cycle_number"])
        check(stated == (self.balance, self.cycle["number"]), "it states another balance, or another cycle")

    def begin_cycle(self, cycle, follows):
        """Begin a cycle."""
        check(follows and cycle["number"] == self.cycle["number"] + 1, "its cycle does not follow the one before")
        self.cycle = cycle

    def check_lapse(self, data):
        """Check what lapses, and what stays held."""
        stated = (data["lapsed_credits"], data.get("held_credits", 0))
        check(stated == (self.available(), self.held()), "another balance lapsed, or was held over")


def check_price(data):
    """Check that the price comes to the credits, and that its quantity is that of the settings."""
    price, settings = data["price"], data["settings"]
    check(data["credits"] == price_credits(price), "its price comes to other credits")
    count = settings.get("count") or 1
    quantity = Fraction(count)
    if price["rule"] == "per_second":
        quantity = Fraction(settings.get("duration_seconds") or 0) * count
    if price["rule"] == "per_1000_characters":
        quantity = Fraction(settings.get("characters") or 0, 1000)
    check(Fraction(price["quantity"]) == quantity, "the quantity of its price is not that of its settings")


EXACT = Context(prec=80, Emin=-80, Emax=80, traps=[Inexact, InvalidOperation, Overflow])


def price_credits(price):
    """Compute the credits of a price: its product, of at most 80 digits, rounded up, at least 1."""
    try:
        return max(1, ceil(EXACT.multiply(Decimal(price["quantity"]), Decimal(price["credits_per_unit"]))))
    except ArithmeticError:
        raise DoesNotHold("its price cannot be reckoned") from None


def check_facts(members, manifest, subscription, dispute, index):
    """Check what the events say, and that the documents say the same. Return the event of the charge."""
    topics = [each.topic for each in dispute]
    check(topics in (["DisputeOpened"], ["DisputeOpened", "DisputeResolved"]), "no dispute, or decided twice")
    opened, *resolved = [data_of(each, DISPUTE_EVENTS) for each in dispute]
    now = Subscription()
    stages = []
    for each in subscription:
        stages.append((now.plan, now.cycle, now.balance))
        now.take(each)
    version = opened["charge_version"]
    check(0 < version <= len(subscription) and subscription[version - 1].topic == "GenerationCharged", "no charge")
    event = subscription[version - 1]
    charge = data_of(event, SUBSCRIPTION_EVENTS)
    disputed = (opened["subscription_id"], opened["generation_id"])
    check(disputed == (event.stream_id, charge["generation_id"]), "the dispute is about another charge")
    check(manifest["generation_id"] == charge["generation_id"], "manifest.note: another generation")
    own = [each for each in now.given_back.values() if each[1]["dispute_id"] == manifest["dispute_id"]]
    is_upheld = bool(resolved) and resolved[0]["outcome"] == "upheld"
    check(len(own) == is_upheld, "what was given back is not what the dispute says")
    if is_upheld:
        given = tuple(own[0][1][name] for name in ("generation_id", "credit_to", "credits"))
        decided = (
            charge["generation_id"],
            resolved[0].get("credit_to"),
            resolved[0].get("credits") or charge["credits"],
        )
        check(given == decided, "something else was given back")
    plan, cycle, balance = stages[version - 1]
    expected = charge_document(event, charge, plan, cycle, balance, index)
    check(members["charge.json"] == dump(expected), "charge.json: not what the events say")
    expected = dispute_document(dispute, opened, resolved, own)
    check(members["dispute.json"] == dump(expected), "dispute.json: not what the events say")
    check(fits_whole(read_json(members["charge.json"], "charge.json")), "charge.json: a number is too large")
    return event


def fits_whole(value):
    """Tell whether all numbers of a document are below 2^53."""
    if isinstance(value, dict):
        return all(map(fits_whole, value.values()))
    return type(value) is not int or abs(value) < 2**53


def charge_document(event, charge, plan, cycle, balance, index):
    """Make the document of the charge."""
    return {
        **{name: charge[name] for name in ("generation_id", "asset_type", "model", "credits", "balance_after")},
        "subscription_id": event.stream_id,
        "version": event.version,
        "position": index + 1,
        "charged_at": six(event.recorded_at),
        "settings": plain(charge["settings"], ("duration_seconds",), SETTINGS),
        "plan_id": plan["plan_id"],
        "cycle": {
            "number": cycle["number"],
            **{name: six(instant_of(cycle[name])) for name in ("starts_at", "ends_at")},
        },
        "price": plain(charge["price"], ("quantity", "credits_per_unit"), PRICE),
        "recomputed_credits": price_credits(charge["price"]),
        "balance_before": balance,
        **{name: charge[name] for name in ("member", "held_credits") if charge.get(name) is not None},
    }


def plain(members, decimals, form):
    """Write the members that there are, decimals as strings."""
    there = {name.rstrip("?"): members.get(name.rstrip("?")) for name in form if name != "!"}
    return {
        name: format(Decimal(value), "f") if name in decimals else value
        for name, value in there.items()
        if value is not None
    }


def dispute_document(dispute, opened, resolved, own):
    """Make the document of the dispute."""
    return {
        **{name: opened[name] for name in ("subscription_id", "generation_id", "reason", "note")},
        "dispute_id": dispute[0].stream_id,
        "status": resolved[0]["outcome"] if resolved else "open",
        "opened_at": six(dispute[0].recorded_at),
        "version": len(dispute),
        **({"resolved_at": six(dispute[1].recorded_at), "resolution": resolution(resolved[0])} if resolved else {}),
        **({"reversed_in_version": own[0][0]} if own else {}),
    }


def resolution(data):
    """Write the decision, without what is not there."""
    form = DISPUTE_EVENTS["DisputeResolved"]
    there = {name.rstrip("?"): data.get(name.rstrip("?")) for name in form}
    return {name: value for name, value in there.items() if value is not None}


# Refusals.

REFUSAL = {
    "number": WHOLE,
    "op": {"charge", "hold", "capture"},
    "subscription_id": ID,
    "generation_id": TEXT,
    "version": WHOLE,
    "model": TEXT,
    "settings": {},
    "code": TEXT,
    "required_credits?": WHOLE,
    "balance_credits": WHOLE,
    "available_credits?": WHOLE,
    "refused_at": INSTANT,
}


def check_refusals(members, subscription_id, keys):
    """Check that the refusals are in the log of refusals, whose keys are those of the log under another name."""
    entries = lines_of(members["refusals.ndjson"], "refusals.ndjson")
    form = read_canonical(members["refusals.json"], "refusals.json", REFUSALS)
    check(len(entries) == len(form["proofs"]) and bool(entries) == bool(form["note"]), "refusals.json: other proofs")
    refusals = [read_json(entry, "refusals.ndjson") for entry in entries]
    check(all(is_stored_as(each, REFUSAL) for each in refusals), "refusals.ndjson: another form")
    numbers = [each["number"] for each in refusals]
    check(numbers == sorted(set(numbers)), "refusals.ndjson: not in order")
    check(all(each["subscription_id"] == subscription_id for each in refusals), "refusals.ndjson: of others")
    if not entries:
        check(not form["handovers"], "refusals.json: hand-overs of nothing")
        return
    own_keys = [Key(f"{key.name}/refusals", key.public_key, key.kind) for key in keys]
    lineage = Lineage(read_note(form["note"]), [read_note(each) for each in form["handovers"]], [])
    known, _ = check_lineage(lineage, Pins(), own_keys[:1])
    check(known == own_keys[: len(known)], "refusals.json: other keys than the log")
    check_signed_by_all(lineage.note, own_keys, "refusals.json")
    newest = read_checkpoint(lineage.note.text)
    for number, entry, proof in zip(numbers, entries, form["proofs"], strict=True):
        leaf = sha256(b"\x00" + entry).digest()
        check(
            is_included(leaf, number - 1, newest.size, read_hashes(proof), newest.root), "a refusal is not in its tree"
        )


def read_file(path):
    """Read a file."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise NoPin(f"{path} cannot be read: {error.strerror}") from None


def main(arguments=None):
    """Check the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--key", action="append", default=[], metavar="VKEY")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="FILE")
    asked = parser.parse_args(arguments)
    try:
        pins = read_pins(asked.key, [read_file(each) for each in asked.checkpoint])
        content = read_file(asked.file)
        is_evidence = content.startswith(b"PK")
        if not (is_evidence or pins.keys):
            raise NoPin("--key is missing: a receipt proves nothing without a key of its log")
        check_file = check_evidence if is_evidence else check_receipt
        charge, (keys, witnesses) = check_file(content, pins)
    except NoPin as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except DoesNotHold as error:
        sys.stderr.write(f"{asked.file} does not hold: {error}\n")
        return 1
    sys.stdout.write(f"It holds: {charge['generation_id']}, {charge['credits']} credits.\n")
    for name, each in (("key", keys), ("witness", witnesses)):
        sys.stdout.writelines(f"{name} {vkey(key)}\n" for key in each)
    if not (pins.notes or any(key.kind == ED25519 for key in pins.keys)):
        sys.stdout.write("No key was pinned: this proves that the file is sound in itself, not whose it is.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
