"""`verify` finds what streams say of each other and is not so, though each in itself might be."""

import pytest

from tests.integration.audit.sound import SealedLedger, reasons_of

ALTER_EVENT = """UPDATE tallystick.ledger_events
    SET state = convert_to(regexp_replace(convert_from(state, 'UTF8'), %s, %s), 'UTF8')
    WHERE notification_id = (SELECT min(notification_id) FROM tallystick.ledger_events WHERE topic = %s
                             AND convert_from(state, 'UTF8') ~ %s)"""


@pytest.mark.parametrize(
    ("topic", "pattern", "instead", "reason"),
    [
        (
            "DisputeResolved",
            '"outcome":"rejected","note":',
            '"outcome":"upheld","note":',
            "was not given back by it in",
        ),
        ("DisputeResolved", '"outcome":"upheld"', '"outcome":"rejected"', ", which was not upheld"),
        ("DisputeResolved", '"credit_to":"current_cycle"', '"credit_to":"original_cycle"', "and its dispute says"),
        ("ChargeReversed", '"dispute_id":"........', '"dispute_id":"00000000', ", which is not there"),
        ("ChargeReversed", '"dispute_id":"', '"dispute_id":"x', ", which no dispute can be"),
        ("DisputeOpened", '"generation_id":"generation', '"generation_id":"other', "is no charge of other-"),
        ("DisputeOpened", '"charge_version":', '"charge_version":100', "is no charge of generation-"),
    ],
)
def test_disputes_and_what_they_give_back_belong_together(
    sealed: SealedLedger, topic: str, pattern: str, instead: str, reason: str
) -> None:
    """Each in itself might be so; a stream says of another one what is not."""
    with sealed.tampering() as connection:
        changed = connection.execute(ALTER_EVENT, [pattern, instead, topic, pattern])
        assert changed.rowcount == 1
        assert reason in reasons_of(sealed.check(connection))


def test_a_generation_that_is_charged_twice_is_found_by_its_second_row(sealed: SealedLedger) -> None:
    with sealed.tampering() as connection:
        connection.execute("ALTER TABLE tallystick.charges DROP CONSTRAINT charges_pkey")
        connection.execute("INSERT INTO tallystick.charges SELECT * FROM tallystick.charges LIMIT 1")
        assert "there are 2: a generation is charged or held once" in reasons_of(sealed.check(connection))
