"""The bridge's own pages in the admin; and what the apps' pages of facts share with them."""

from kafka_bridge.admin.dead_letter_page import state_label as letter_label
from kafka_bridge.admin.dead_letters import DeadLetterAdmin
from kafka_bridge.admin.group_controls import GroupControlAdmin
from kafka_bridge.admin.outbox import Backlog, Hearing, OutboxRowAdmin, backlog, hearings
from kafka_bridge.admin.pages import (
    COUNT_LIMIT,
    CappedPaginator,
    FactsAdmin,
    FactsChangeList,
    FactsInline,
    PlainAdmin,
    as_age,
    as_json,
    as_uuid,
    label,
    link,
    moment,
    page_of,
    short_link,
    subject_pages,
)
from kafka_bridge.admin.refused_messages import RefusedMessageAdmin

__all__ = [
    "COUNT_LIMIT",
    "Backlog",
    "CappedPaginator",
    "DeadLetterAdmin",
    "FactsAdmin",
    "FactsChangeList",
    "FactsInline",
    "GroupControlAdmin",
    "Hearing",
    "OutboxRowAdmin",
    "PlainAdmin",
    "RefusedMessageAdmin",
    "as_age",
    "as_json",
    "as_uuid",
    "backlog",
    "hearings",
    "label",
    "letter_label",
    "link",
    "moment",
    "page_of",
    "short_link",
    "subject_pages",
]
