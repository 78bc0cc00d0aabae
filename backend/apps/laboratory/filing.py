"""Files what laboratories report in the chart; without this messages would be stored and nobody would read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from backend.apps.laboratory import critical, matching, restating, specimens, statuses, versions
from backend.apps.laboratory.codes import Codes
from backend.apps.laboratory.matching import Unmatched
from backend.apps.laboratory.models import InboundMessage, InboundStatus, LabResult
from backend.apps.laboratory.observations import Filing, observed, results_of
from backend.apps.laboratory.panels import Panels, Said, strangers
from backend.apps.laboratory.reports import OrderIn, Outcome, ReportIn
from backend.apps.patients.models import Patient

Asked = tuple[InboundMessage, Sequence[ReportIn]]


def file_report(message: InboundMessage, report: ReportIn) -> Outcome:
    """File one report in the chart of its patient, or say why a person has to; all of it or nothing."""
    return file_reports([(message, [report])])[0][0]


@transaction.atomic
def file_reports(asked: Sequence[Asked]) -> list[list[Outcome]]:
    """File the reports of several messages in as many statements as those of one; return an outcome for each report.

    Any order, repetition or replay of the same messages, filed one by one or together, ends in the same chart: which
    order a panel is in follows from all that was said of it (`panels`), which version of an observation is current from
    the laboratory's own times (`versions.moment`), and what was filed before is not filed again. Locks are taken in one
    order: patients by key, then orders by key, then results.

    Raises:
        Moved: a patient was merged meanwhile; nothing was filed, and trying again is safe.
    """
    people = matching.People([(message, report) for message, reports in asked for report in reports])
    whose = strangers(order for _, reports in asked for report in reports for order in report.orders)
    filings: dict[tuple[int, UUID], Filing] = {}
    answers: list[list[Outcome | Filing]] = []
    for place, (message, reports) in enumerate(asked):
        answers.append([])
        for report in reports:
            try:
                patient = _patient(people, whose, message, report, alone=len(reports) == 1)
            except Unmatched as reason:
                answers[-1].append(Outcome(InboundStatus.WORKLIST, str(reason)))
                continue
            filing = filings.setdefault((place, patient.pk), Filing(message, patient, people.formerly(patient)))
            filing.orders += [(order, report.sent_at) for order in report.orders]
            answers[-1].append(filing)
    done = _file(list(filings.values()))
    return [[done[id(each)] if isinstance(each, Filing) else each for each in line] for line in answers]


def _patient(
    people: matching.People, whose: dict[str, UUID], message: InboundMessage, report: ReportIn, *, alone: bool
) -> Patient:
    """Return whose report this is; whatever speaks against filing it speaks here, before anything is filed."""
    if not report.orders:
        raise Unmatched("The message holds no results.")
    patient = people.whose(message, report.patient, alone=alone)
    if any(whose.get(order.placer.strip(), patient.pk) != patient.pk for order in report.orders):
        raise Unmatched("The order number in the message belongs to another patient's order.")
    return patient


def _file(filings: list[Filing]) -> dict[int, Outcome]:
    codes = Codes(_codes(filings))
    panels = Panels([_said(filing, order, sent_at, codes) for filing in filings for order, sent_at in filing.orders])
    taken = iter(panels.panels) if filings else iter(())
    for filing in filings:
        filing.panels = [next(taken) for _ in filing.orders]
    panels.save()
    new = {id(filing): list(results_of(filing, codes)) for filing in filings}
    everything = [each for filing in filings for each in new[id(filing)]]
    placed = versions.place_all(everything)
    restating.follow(everything, placed.fresh)
    specimens.place(filings)
    for result in placed.fresh:
        statuses.unreview(result.lab_order)
    statuses.settle(list(panels.touched.values()), emptied=panels.emptied)
    panels.save_orders()
    critical.notice(placed.fresh)
    stands, fresh = iter(placed.stands), {id(row) for row in placed.fresh}
    return {id(filing): _outcome(filing, [next(stands) for _ in new[id(filing)]], fresh) for filing in filings}


def _outcome(filing: Filing, rows: list[LabResult | None], fresh: set[int]) -> Outcome:
    found = [row for row in rows if row is not None]
    new = sum(id(row) in fresh and row.source_message_id == filing.message.pk for row in found)
    if len(found) < len(rows):
        reason = "A result became final without its value, and no preliminary value is on file."
        return Outcome(InboundStatus.WORKLIST, reason, filing.patient.pk, new)
    if found and not any(row.source_message_id == filing.message.pk for row in found):
        return Outcome(InboundStatus.DUPLICATE, "Everything in it was filed before.", filing.patient.pk)
    return Outcome(InboundStatus.FILED, "", filing.patient.pk, new)


def _said(filing: Filing, order: OrderIn, sent_at: datetime | None, codes: Codes) -> Said:
    message = filing.message
    moments = (order.observed_at, order.reported_at, sent_at)
    at = min(filter(None, moments), default=message.received_at)
    test, _ = codes.meaning(message.feed_id, (order.code, order.system), (order.other_code, order.other_system))
    return Said(filing.patient, message.sender[:250], order, at, test)


def _codes(filings: list[Filing]) -> Iterable[str]:
    for filing in filings:
        for order, _ in filing.orders:
            yield from (order.code, order.other_code)
            for each in observed(order):
                yield from (each.code, each.other_code)
