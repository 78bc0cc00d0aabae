"""Makes the rows of the table of a demo day: what was asked, by whom it was taken, and what our tables say of it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Decimal

from workers.cli import demo_counts
from workers.cli.demo_asked import Asked, ClaimsAsked, ExportAsked, LabAsked
from workers.cli.demo_counts import Database, Verdict
from workers.cli.demo_messages import Providers, messages, notices, said
from workers.cli.demo_partners import Partners
from workers.cli.demo_table import Row
from workers.cli.state import Running

LABS = """
    SELECT control_id, status FROM laboratory_inboundmessage
    WHERE sending_facility = %s AND created_at >= %s AND control_id = ANY(%s)"""
CLAIMS = """
    SELECT c.id::text, c.status, c.paid_amount, coalesce(array_agg(DISTINCT s.claim_control_number)
           FILTER (WHERE s.claim_control_number <> ''), '{}')
    FROM insurance_insuranceclaim AS c LEFT JOIN insurance_submission AS s ON s.claim_id = c.id
    WHERE c.id = ANY(%s::uuid[]) GROUP BY c.id"""
ON_THEIR_WAY = ("draft", "submitted", "pending", "accepted")


def rows(database: Database, running: Running, partners: Partners, asked: Asked, began: datetime) -> list[Row]:
    """Return the table of the day; what reconcile says of a part stands in its first row."""
    books = demo_counts.reconciled(running, began)
    at = Providers(database, partners, began)
    return [
        messages("texts, Twilio", "sms", at, asked.invited, books["reminders"]),
        messages("e-mails, SendGrid", "email", at, asked.invited, None),
        *(
            laboratory(database, lab, began, books["laboratory"] if number == 0 else None)
            for number, lab in enumerate(asked.labs)
        ),
        claims(database, asked.claims, books["claims"]),
        exports(asked.exports, books["exports"]),
        notices(at, books["credentials"]),
    ]


def laboratory(database: Database, asked: LabAsked, began: datetime, books: Verdict | None) -> Row:
    """Return the row of one laboratory: each of its messages is to be one row here, however often it was sent."""
    found = database.execute(LABS, [asked.facility, began, list(asked.endings)]).fetchall()
    stored = Counter(name for name, _ in found)
    ended = Counter(status for _, status in found if status != "received")
    words = Counter(asked.acknowledged.values())
    told = ", ".join(f"{count} {code}" for code, count in sorted(words.items())) or "nothing"
    apart = sum(1 for name, status in found if status not in ("received", asked.endings[name]))
    return Row(
        pipeline=f"laboratory, {asked.facility.removesuffix(' LABORATORY')}", asked=len(asked.endings),
        expected=Counter(asked.endings.values()), happened=ended, apart=apart,
        counted=f"{asked.sent.total()} sent, acknowledged {told}",
        doubled=sum(count - 1 for count in stored.values()), lost=len(set(asked.endings) - set(stored)),
        in_line=len(found) - ended.total(), **said(books),
    )  # fmt: skip


def claims(database: Database, asked: ClaimsAsked, books: Verdict) -> Row:
    """Return the row of the claims: each is to be one at the clearinghouse, and paid as it says."""
    found = database.execute(CLAIMS, [asked.ids]).fetchall()
    ended = Counter(status for _, status, *_ in found)
    paid = {number: amount for *_, amount, numbers in found for number in numbers}
    doubled, waiting = sum(count - 1 for count in asked.taken.values()), sum(ended.pop(one, 0) for one in ON_THEIR_WAY)
    times = "each once" if not doubled else f"{doubled} again"
    ours, theirs = sum((amount or 0 for _, _, amount, _ in found), Decimal(0)), sum(asked.paid.values(), Decimal(0))
    return Row(
        pipeline="claims, clearinghouse", asked=len(asked.ids), expected=Counter({"paid": len(asked.ids)}),
        happened=ended, counted=f"{len(asked.taken)} taken, {times}; {theirs:,.2f} paid there, {ours:,.2f} here",
        doubled=doubled, lost=len(set(paid) ^ set(asked.taken)) + len(set(asked.ids) - {one for one, *_ in found}),
        apart=sum(1 for number in {*paid, *asked.paid} if paid.get(number) != asked.paid.get(number)),
        in_line=waiting, **said(books),
    )  # fmt: skip


def exports(asked: list[ExportAsked], books: Verdict) -> Row:
    """Return the row of the exports: each holds once all that was there before it was asked for."""
    words = {(True, True): "finished", (True, False): "not as the manifest says", (False, False): "broken off"}
    told = "; ".join(f"{one.resources:,} resources in {one.files} files" for one in asked) or "nothing"
    return Row(
        pipeline="export, FHIR client", asked=len(asked), expected=Counter({"finished": len(asked)}),
        happened=Counter(words[one.finished, one.finished and one.fits] for one in asked), counted=told,
        doubled=sum(one.doubled for one in asked), lost=sum(one.missing for one in asked), **said(books),
    )  # fmt: skip
