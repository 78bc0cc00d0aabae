"""Says in whose name and with which signs a file goes to a partner; without it each writer would ask the tables."""

from __future__ import annotations

from datetime import datetime

from backend.apps.insurance.models import TradingPartner
from integrations.x12.claim_records import Envelope


def envelope(partner: TradingPartner, interchange_number: int, group_number: int, at: datetime) -> Envelope:
    """Return the envelope of one file. at: aware, in the clinic's zone."""
    return Envelope(
        isa_qualifier_ours=partner.our_qualifier,
        isa_id_ours=partner.our_id,
        isa_qualifier_theirs=partner.their_qualifier,
        isa_id_theirs=partner.their_id,
        gs_id_ours=partner.our_group_id,
        gs_id_theirs=partner.their_group_id,
        usage=partner.usage,
        ack_requested=partner.ack_requested,
        interchange_number=interchange_number,
        group_number=group_number,
        at=at,
        element_separator=partner.element_separator,
        repetition_separator=partner.repetition_separator,
        component_separator=partner.component_separator,
        segment_terminator=partner.segment_terminator,
    )
