"""Secrets and signatures of messages, by the Standard Webhooks rules."""

import base64
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime

from standardwebhooks import Webhook

from services.webhooks.messages import Message

_SECRET_BYTES = 32


def new_secret() -> str:
    """Make a secret."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


def headers_of(message: Message, live_secrets: Iterable[str], now: datetime) -> Mapping[str, str]:
    """Return the headers that prove a message, signed by each secret that is live."""
    body = message.body.decode()
    signatures = (Webhook(secret).sign(message.message_id, now, body) for secret in live_secrets)
    return {
        "webhook-id": message.message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
