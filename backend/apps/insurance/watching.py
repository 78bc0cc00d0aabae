"""Notices what does not happen to claims: no answer, no money, a file nobody has; else silence would look like peace.

Each look opens one alert per cause, says again what still holds, and clears what does no longer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, models
from django.db.models import (
    Case,
    CharField,
    Count,
    DateField,
    Exists,
    ExpressionWrapper,
    F,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Least
from django.utils import timezone

from backend.apps.core import alerts
from backend.apps.core.models import Alert, Clinic
from backend.apps.core.work import WorkState
from backend.apps.insurance import deposits, timely_filing
from backend.apps.insurance.models import (
    AckEvent,
    Deposit,
    InboundFile,
    InsuranceClaim,
    Interchange,
    Remittance,
    RemittanceClaim,
    Stage,
    Submission,
    TradingPartner,
)
from backend.apps.insurance.models.remittances import RemittanceClaimState
from backend.apps.insurance.models.submissions import LIVE

SILENT_FILE, HELD_FILES, UNREACHED = "claims_file_silent", "claims_files_held", "claims_partner_unreached"
QUARANTINED, UNANSWERED, NUMBER_GAP = "claims_quarantined", "claims_unanswered", "claims_number_gap"
FILING, UNBILLED, NO_REMITTANCE = "claims_timely_filing", "claims_unbilled", "deposits_unmatched"
ANSWERED_OUT_OF_TURN = timedelta(hours=1)  # a later file was answered and this one, older than that, was not
COLLECTED_WITHIN = timedelta(hours=2)
LOOKED_AT_WITHIN = timedelta(days=1)  # what is in quarantine
UNBILLED_AFTER = timedelta(days=5)
UNMATCHED_AFTER = timedelta(days=7)
WORD_WITHIN = 10  # days from one word about a claim to the next, or fewer if its payer pays sooner
WAITING = (InsuranceClaim.Status.SUBMITTED, InsuranceClaim.Status.PENDING, InsuranceClaim.Status.ACCEPTED)
WORD, MONEY, DECISION = "word", "remittance", "decision"  # what a claim lacks
MOST_FILES = 200  # alerts of one look; the next look goes on
Severity = Alert.Severity
HOUR, DAY, FOR_GOOD = timedelta(hours=1), timedelta(days=1), timedelta(days=365)

# ISA13 that were given out and belong to no file: between two files, and after the last one.
GAPS = """
SELECT partner_id, before + 1, after - 1 FROM (
    SELECT partner_id, interchange_number AS before,
           COALESCE(lead(interchange_number) OVER (PARTITION BY partner_id ORDER BY interchange_number),
                    (SELECT last + 1 FROM insurance_controlnumber given
                     WHERE given.partner_id = interchange.partner_id AND given.kind = 'isa')) AS after
    FROM insurance_interchange interchange) numbers
WHERE after > before + 1 ORDER BY 1, 2
"""


class Telling(NamedTuple):
    """What one alert says. subject: the row it is about. quiet_for: how long a person's word for it holds."""

    sentence: str
    subject: models.Model | None = None
    severity: str = Severity.WARNING
    quiet_for: timedelta = DAY


class Gap(NamedTuple):
    """Numbers (ISA13) of a partner, from the first to the last, that no file of ours has."""

    partner: TradingPartner
    first: int
    last: int


def look(now: datetime | None = None) -> int:
    """Look at files and partners, hourly; return how many alerts are open. Safe to repeat."""
    at = now or timezone.now()
    return (
        _tell(SILENT_FILE, _silent(at)) + _tell(HELD_FILES, _held()) + _tell(UNREACHED, _unreached(at))
        + _tell(QUARANTINED, _quarantined(at))
    )  # fmt: skip


def look_daily(now: datetime | None = None) -> int:
    """Look at claims, numbers and money, daily; return how many alerts are open. Safe to repeat."""
    at = now or timezone.now()
    deposits.match_all()
    return (
        _tell(UNANSWERED, _unanswered()) + _tell(NUMBER_GAP, _gaps()) + _tell(FILING, _filing())
        + _tell(UNBILLED, _unbilled(at)) + _tell(NO_REMITTANCE, _unmatched())
    )  # fmt: skip


def silent_files(now: datetime) -> QuerySet[Interchange]:
    """Return the files of claims without TA1 and 999, or with TA1 and no 999, for longer than their partner takes.

    The oldest come first. `skipped`: a file with a later number has been answered, so that this one is likely lost. A
    file of whose claims the partner speaks has arrived; what it leaves out is looked for claim by claim.
    """
    later = Interchange.objects.filter(
        Q(ta1_at__isnull=False) | Q(acknowledged_at__isnull=False),
        partner=OuterRef("partner"),
        interchange_number__gt=OuterRef("interchange_number"),
        kind=Interchange.Kind.CLAIMS,
    )
    spoken_of = AckEvent.objects.filter(interchange=OuterRef("pk"), stage__gte=Stage.CLEARINGHOUSE)
    rows = Interchange.objects.filter(status=Interchange.Status.SENT, kind=Interchange.Kind.CLAIMS)
    rows = rows.filter(~Exists(spoken_of), acknowledged_at__isnull=True)
    rows = rows.annotate(skipped=Exists(later), heard_at=Coalesce("ta1_at", "sent_at"))
    long = Q(heard_at__lt=now - F("partner__ack_hours") * models.Value(HOUR))
    out_of_turn = Q(skipped=True, ta1_at__isnull=True, sent_at__lt=now - ANSWERED_OUT_OF_TURN)
    return rows.filter(long | out_of_turn).defer("content").select_related("partner").order_by("sent_at", "pk")


def unanswered(claims: QuerySet[Any]) -> QuerySet[Any]:
    """Return claims of which their partner has said nothing more for too long, those that wait longest first.

    `partner`: the key of who has it; `waits_since`: the day of its last word. `lacks`: "word", whether the payer has
    taken it in; "remittance"; or "decision", a new one after a payment was taken back. What was replaced or taken back
    by another claim is not waited for; what no partner has (it went on paper, or its payer got it from another one)
    has nobody to be asked by a file, and only the clock of timely filing runs for it.
    """
    known = (*LIVE, Submission.Status.ADJUDICATED)
    sent = Submission.objects.filter(claim=OuterRef("pk"), status__in=known).order_by("-queued_at", "-pk")
    followed = InsuranceClaim.objects.filter(original=OuterRef("pk"), submission_date__isnull=False)
    followed = followed.exclude(status=InsuranceClaim.Status.REJECTED)
    rows = claims.filter(~Exists(followed), status__in=WAITING).annotate(
        partner=Subquery(sent.values("partner")[:1]),
        days=Subquery(sent.values("partner__remittance_days")[:1]),
        tried=Subquery(sent.values("status")[:1]),
        waits_since=Coalesce("response_date", "submission_date"),
    )
    accepted = Q(status=InsuranceClaim.Status.ACCEPTED)
    taken_back = When(accepted & Q(tried=Submission.Status.ADJUDICATED), then=Value(DECISION))
    lacks = Case(taken_back, When(accepted, then=Value(MONEY)), default=Value(WORD), output_field=CharField())
    span = Case(When(accepted, then=F("days")), default=Least(F("days"), Value(WORD_WITHIN)))
    late = ExpressionWrapper(F("waits_since") + span, output_field=DateField())
    rows = rows.filter(partner__isnull=False).annotate(lacks=lacks, late_on=late)
    return rows.filter(late_on__lt=Clinic.today()).order_by("late_on", "pk")


def unbilled(claims: QuerySet[Any], now: datetime) -> QuerySet[Any]:
    """Return drafts that nobody has submitted for days, the oldest first."""
    on_its_way = Submission.objects.filter(claim=OuterRef("pk"), status__in=LIVE)
    rows = claims.filter(status=InsuranceClaim.Status.DRAFT, created_at__lt=now - UNBILLED_AFTER)
    return rows.filter(~Exists(on_its_way)).order_by("created_at", "pk")


def number_gaps() -> list[Gap]:
    """Return the numbers that were given out and belong to no file. There should be none: both are one transaction."""
    with connection.cursor() as cursor:
        cursor.execute(GAPS)
        rows = cursor.fetchall()
    names = TradingPartner.all_objects.in_bulk({partner for partner, _, _ in rows})
    return [Gap(names[partner], first, last) for partner, first, last in rows]


def _silent(now: datetime) -> Mapping[str, Telling]:
    told = {}
    for one in silent_files(now)[:MOST_FILES]:
        what = "unread" if one.ta1_at else "silent"
        told[f"claims file {what}:{one.pk}"] = _silence_of(one)
    return told


def _silence_of(file: Any) -> Telling:
    number, hours = f"File {file.interchange_number} to {file.partner.name}", f"{file.partner.ack_hours} hours"
    if file.ta1_at:
        return Telling(
            f"{number} arrived, but nobody has read it for {hours}; ask for its 999.", file, quiet_for=FOR_GOOD
        )
    if file.skipped:
        sentence = f"{number} has no answer although later ones have; ask whether it arrived."
        return Telling(sentence, file, Severity.CRITICAL, quiet_for=FOR_GOOD)
    sentence = f"{number} has had no answer for {hours}; ask whether it arrived."
    return Telling(sentence, file, quiet_for=FOR_GOOD)


def _held() -> Mapping[str, Telling]:
    stuck = Q(work_state__in=[WorkState.HELD, WorkState.FAILED]) | Q(status=Interchange.Status.IN_DOUBT)
    counted = _by_partner(Interchange.objects.filter(stuck))
    return {
        f"claims files held:{partner.pk}": Telling(f"{count} files to {partner.name} wait for a person.", partner)
        for partner, count in counted
    }


def _unreached(now: datetime) -> Mapping[str, Telling]:
    """Tell of partners whose answers nobody could collect; who is paused is left alone."""
    rows = TradingPartner.objects.filter(is_active=True, paused_at__isnull=True)
    late = rows.annotate(last=Coalesce("collected_at", "created_at")).filter(last__lt=now - COLLECTED_WITHIN)
    return {
        f"claims partner unreached:{one.pk}": Telling(f"No answers could be collected from {one.name} for hours.", one)
        for one in late
    }


def _quarantined(now: datetime) -> Mapping[str, Telling]:
    old = now - LOOKED_AT_WITHIN
    files = InboundFile.objects.filter(status=InboundFile.Status.QUARANTINED, received_at__lt=old)
    money = Remittance.objects.filter(status=Remittance.Status.QUARANTINED, created_at__lt=old)
    waiting = (RemittanceClaimState.UNMATCHED, RemittanceClaimState.BLOCKED)
    claims = RemittanceClaim.objects.filter(state__in=waiting, remittance__created_at__lt=old)
    told = {}
    for what, rows, path in (
        ("files", files, "partner"),
        ("remittances", money, "partner"),
        ("paid claims", claims, "remittance__partner"),
    ):
        for partner, count in _by_partner(rows, path):
            sentence = f"{count} {what} from {partner.name} have waited for a person for more than a day."
            told[f"claims quarantined:{what}:{partner.pk}"] = Telling(sentence, partner)
    return told


def _unanswered() -> Mapping[str, Telling]:
    """Tell each partner's claims without a word, a remittance or a new decision, one alert for each of the three."""
    rows = unanswered(InsuranceClaim.objects.all()).order_by().values_list("partner", "lacks")
    counts = {(partner, lacks): count for partner, lacks, count in rows.annotate(count=Count("pk"))}
    names = TradingPartner.all_objects.in_bulk({partner for partner, _ in counts})
    told = {}
    for (key, lacks), count in counts.items():
        kind = "" if lacks == MONEY else f"{lacks}:"
        told[f"claims unanswered:{kind}{key}"] = Telling(_lack(names[key], lacks, count), names[key])
    return told


def _lack(partner: TradingPartner, lacks: str, count: int) -> str:
    if lacks == WORD:
        days = min(WORD_WITHIN, partner.remittance_days)
        return f"{count} claims sent through {partner.name} have been neither accepted nor rejected for {days} days."
    what = "remittance" if lacks == MONEY else "new decision after theirs was taken back"
    return f"{count} claims accepted through {partner.name} have had no {what} for {partner.remittance_days} days."


def _gaps() -> Mapping[str, Telling]:
    return {
        f"claims number gap:{gap.partner.pk}:{gap.first}": Telling(
            f"The numbers {gap.first} to {gap.last} were given to files for {gap.partner.name} that are not there.",
            gap.partner,
        )
        for gap in number_gaps()
    }


def _filing() -> Mapping[str, Telling]:
    """Tell of claims near or past the end of their window, one alert for each."""
    rows = timely_filing.running(InsuranceClaim.objects.all(), Clinic.today()).order_by()
    counts = dict(rows.values_list("stage").annotate(count=Count("pk")).values_list("stage", "count"))
    sentences = {
        timely_filing.LATE: ("claims are in the last tenth of the time in which their payer takes them.", "warning"),
        timely_filing.PAST: ("claims were not accepted in the time in which their payer takes them.", "critical"),
    }
    return {
        f"claims timely filing:{stage}": Telling(f"{counts[stage]} {sentence}", None, severity)
        for stage, (sentence, severity) in sentences.items()
        if counts.get(stage)
    }


def _unbilled(now: datetime) -> Mapping[str, Telling]:
    count = unbilled(InsuranceClaim.objects.all(), now).count()
    sentence = f"{count} claims have been drafts for more than {UNBILLED_AFTER.days} days and are not submitted."
    return {"claims unbilled": Telling(sentence)} if count else {}


def _unmatched() -> Mapping[str, Telling]:
    """Tell of money at the bank without a remittance, and of remittances without money."""
    day = Clinic.today() - UNMATCHED_AFTER
    counts = {
        "deposits": Deposit.objects.filter(remittance__isnull=True, received_on__lt=day).count(),
        "remittances": _expected_money(day),
    }
    sentences = {
        "deposits": "deposits belong to no remittance.",
        "remittances": "remittances tell of money that is in no deposit.",
    }
    return {
        f"deposits unmatched:{what}": Telling(f"{count} {sentences[what]}") for what, count in counts.items() if count
    }


def _expected_money(day: Any) -> int:
    """Count remittances without a deposit since the first deposit was entered: who enters none is not reminded."""
    first = Deposit.objects.aggregate(first=Min("received_on"))["first"]
    return 0 if first is None else deposits.without_deposit().filter(paid_on__gte=first, paid_on__lt=day).count()


def _by_partner(rows: QuerySet[Any], path: str = "partner") -> list[tuple[TradingPartner, int]]:
    counts = dict(rows.order_by().values_list(path).annotate(count=Count("pk")).values_list(path, "count"))
    return [(one, counts[one.pk]) for one in TradingPartner.all_objects.filter(pk__in=counts).order_by("name")]


def _tell(kind: str, told: Mapping[str, Telling]) -> int:
    """Open an alert for each cause that has none, say again what holds, and clear the rest of this kind.

    What a person has settled is not told again while it is to be quiet.
    """
    known = alerts.open_causes(kind)
    alerts.clear(*(known - told.keys()))
    settled = _settled(told, told.keys() - known)
    for cause, telling in told.items():
        if cause not in settled:
            alerts.open_once(
                cause, kind=kind, sentence=telling.sentence, severity=telling.severity, subject=telling.subject
            )
    return len(told.keys() - settled)


def _settled(told: Mapping[str, Telling], causes: Collection[str]) -> set[str]:
    rows = Alert.objects.filter(cause__in=causes, resolved_by__isnull=False).values_list("cause", "resolved_at")
    return {cause for cause, at in rows if at and timezone.now() - at < told[cause].quiet_for}
