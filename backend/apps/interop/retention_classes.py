"""Every kind of data the clinic holds, how long and by which law; else a purge would not know what it must not touch.

Each model is named by exactly one class, so that a table that is new is asked about. Floors are whole days and not
under the years of the law. Sources: 45 CFR 164.316(b)(2)(i) and 164.528(a) (HIPAA, six years), 42 CFR 493.1105(a)
(CLIA, two years), 42 CFR 422.504(d) (Medicare, ten years), 28 USC 1658(a) (four years to sue, as under 47
USC 227, the TCPA).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import CharField, Exists, OuterRef, Q
from django.db.models.functions import Cast

from backend.apps.appointments.models import AppointmentReminder, FreedSlot, ReplanRequest, WaitlistOffer
from backend.apps.core import retention
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert, AlertNotice, IdempotentRequest, ReconcileRun, RetentionRun
from backend.apps.core.retention import DataClass, Step
from backend.apps.core.work import GIVEN_UP
from backend.apps.credentials import registries
from backend.apps.credentials.models import CredentialAlert, CredentialNotice
from backend.apps.employees import reviews_due
from backend.apps.interop import reconcile_alerts
from backend.apps.interop.models import DisclosedPatient, Disclosure, ExportChunk, ExportFile, ExportJob, SmartAssertion
from backend.apps.laboratory import overdue, silence
from backend.apps.messaging.models import InboundText, PatientLink, PatientMessage, ProviderEvent
from backend.apps.patients.models import ConsentMethod, ContactConsent, ContactPoint
from backend.apps.prescriptions import expiry
from backend.apps.users.models import LoginGuard, LoginNotice, LoginSession

FOUR_YEARS, SIX_YEARS = 1461, 2192
TEXTS = "28 USC 1658(a), 47 USC 227"
DOCUMENTED = "45 CFR 164.316(b)(2)(i)"
ACCOUNTED = "45 CFR 164.528(a)"
TOKENS: Mapping[str, Any] = settings.SIMPLE_JWT
SIGNED_IN_FOR: timedelta = TOKENS["REFRESH_TOKEN_LIFETIME"]
# How people were heard, by what came of them that is kept here.
HEARD = (ConsentMethod.TEXT, ConsentMethod.UNSUBSCRIBE, ConsentMethod.PROVIDER)
# Kinds of alerts whose watchers ask whether a person let one be (`core.alerts.dismissed`), and ring anew without it.
LET_BE = (
    reconcile_alerts.KIND, reconcile_alerts.BROKE_OFF, retention.WAITS, registries.DOUBT_ALERT, expiry.KIND,
    reviews_due.KIND, overdue.KIND, silence.KIND,
)  # fmt: skip
TOLD_OF = Alert.objects.filter(subject_type="reconcilerun", subject_id=Cast(OuterRef("pk"), CharField()))
# Neither in line nor before a person: done, or ended by one.
OVER = Q(work_state="done") | Q(work_state="failed", last_error__startswith=GIVEN_UP)


def within(app: str, names: str) -> tuple[str, ...]:
    """Return the labels of models of one app."""
    return tuple(f"{app}.{name}" for name in names.split())


def proves_nothing(name: str) -> Q:
    """Return that no consent in force, and no number that is stopped, goes back to what has this name."""
    word = Cast(OuterRef(name), CharField())
    later = ContactConsent.objects.filter(
        patient=OuterRef("patient"), channel=OuterRef("channel"), created_at__gt=OuterRef("created_at")
    )
    consent = ContactConsent.objects.filter(~Exists(later), method__in=HEARD, evidence__gt="", evidence=word)
    stopped = ContactPoint.objects.filter(opted_out_at__isnull=False, opted_out_evidence__gt="")
    return ~Q(Exists(consent)) & ~Q(Exists(stopped.filter(opted_out_evidence=word)))


def messages(model: type[AppointmentReminder] | type[PatientMessage]) -> Step:
    """Those that fell back from a message or told of it go first; one planned long ago may have left much later."""
    later = ("scheduled_send_time", "sent_at")
    return Step(model, "created_at", OVER, ages=later, needed_by=((model, "fallback_of"), (model, "digest_of")))


BY_RULE = (
    DataClass(
        name="sessions", title="Closed sign-ins",
        sentence="When somebody signed out or was signed out, and why. The sign-in itself is in the audit log.",
        covers=("users.LoginSession",), keep_days=30,
        steps=(Step(LoginSession, "revoked_at"),),
    ),
    DataClass(
        name="login_notices", title="E-mails to owners of logins",
        sentence="When somebody was told that the own login was locked or its second step changed.",
        covers=("users.LoginNotice",), keep_days=SIX_YEARS, floor_days=SIX_YEARS, law=DOCUMENTED,
        steps=(Step(LoginNotice, "created_at", OVER),),
    ),
    DataClass(
        name="messages", title="Messages to patients",
        sentence="To whom a text or an e-mail went and how it ended. What it said is not kept.",
        covers=("appointments.AppointmentReminder", "messaging.PatientMessage"),
        keep_days=SIX_YEARS, floor_days=FOUR_YEARS, law=TEXTS,
        steps=(messages(AppointmentReminder), messages(PatientMessage)),
    ),
    DataClass(
        name="provider_events", title="Reports of the providers",
        sentence="What the providers reported on messages, as it came. What a consent goes back to stays.",
        covers=("messaging.ProviderEvent",), keep_days=FOUR_YEARS, floor_days=FOUR_YEARS, law=TEXTS,
        steps=(
            Step(ProviderEvent, "created_at", OVER & proves_nothing("message_id") & proves_nothing("pk")),
        ),
    ),
    DataClass(
        name="inbound_texts", title="Texts of patients",
        sentence="What patients texted and a person or a machine has handled. What a consent goes back to stays.",
        covers=("messaging.InboundText",), keep_days=SIX_YEARS, floor_days=FOUR_YEARS, law=TEXTS,
        steps=(
            Step(
                InboundText, "received_at", (~Q(outcome="inbox") | Q(handled_at__isnull=False)) & proves_nothing("sid")
            ),
        ),
    ),
    DataClass(
        name="exports", title="Exports and whom they told of",
        sentence="Who was given whose data, and in which files. The files themselves go days after an export.",
        covers=(
            "interop.ExportJob", "interop.ExportChunk", "interop.ExportFile", "interop.Disclosure",
            "interop.DisclosedPatient",
        ),
        keep_days=SIX_YEARS, floor_days=SIX_YEARS, law=ACCOUNTED,
        steps=(
            Step(
                ExportJob, "files_removed_at",  # until then somebody could be given more
                along=(
                    (DisclosedPatient, "disclosure__job"), (Disclosure, "job"), (ExportFile, "job"),
                    (ExportChunk, "job"),
                ),
                chunk=1,  # for it may tell of a million patients
            ),
        ),
    ),
    DataClass(
        name="alerts", title="Resolved alerts",
        sentence="Trouble that is over, what is documented of incidents. What a person let be stays, or it rings anew.",
        covers=("core.Alert",), keep_days=SIX_YEARS, floor_days=SIX_YEARS, law=DOCUMENTED,
        steps=(Step(Alert, "resolved_at", Q(resolved_by__isnull=True) | ~Q(kind__in=LET_BE)),),
    ),
    DataClass(
        name="alert_notices", title="E-mails about alerts",
        sentence="When whoever is on call was told. They go when their alerts are gone.",
        covers=("core.AlertNotice",), keep_days=SIX_YEARS, floor_days=SIX_YEARS, law=DOCUMENTED,
        steps=(Step(AlertNotice, "created_at", OVER, needed_by=((Alert, "notice"),)),),
    ),
    DataClass(
        name="credential_notices", title="Warnings of credentials",
        sentence="Who was told when that a licence ran out: what the clinic did to comply.",
        covers=("credentials.CredentialAlert", "credentials.CredentialNotice"),
        keep_days=SIX_YEARS, floor_days=SIX_YEARS, law=DOCUMENTED,
        steps=(
            Step(CredentialNotice, "created_at", OVER & (Q(alert__isnull=True) | Q(alert__closed_at__isnull=False))),
            Step(CredentialAlert, "closed_at", needed_by=((CredentialNotice, "alert"),)),
        ),
    ),
    DataClass(
        name="reconcile_runs", title="Closed books",
        sentence="What each closing of the books found. One that an alert tells of goes when the alert is gone.",
        covers=("core.ReconcileRun",), keep_days=731, floor_days=90, law="our own books",
        steps=(Step(ReconcileRun, "created_at", OVER & ~Q(Exists(TOLD_OF))),),
    ),
    DataClass(
        name="spent_requests", title="Spent requests",
        sentence="To plan reminders of a visit anew, and times that became free and that nobody was offered.",
        covers=within("appointments", "FreedSlot ReplanRequest"), keep_days=90, floor_days=30, law="our own books",
        steps=(
            Step(ReplanRequest, "due_at", OVER),
            Step(FreedSlot, "ends_at", OVER, needed_by=((WaitlistOffer, "slot"),)),
        ),
    ),
    DataClass(
        name="retention_runs", title="Removals",
        sentence="What was counted and removed by these rules, and who asked.",
        covers=("core.RetentionRun",), keep_days=SIX_YEARS, floor_days=SIX_YEARS, law=DOCUMENTED,
        steps=(Step(RetentionRun, "created_at", Q(ended_at__isnull=False)),),
    ),
)  # fmt: skip

EXPIRING = (
    DataClass(
        name="web_sessions", title="Sign-ins at the pages",
        sentence="Sessions of the console and the admin that have run out.",
        covers=("sessions.Session",), expires_after=timedelta(),
        steps=(Step(Session, "expire_date"),),
    ),
    DataClass(
        name="run_out_sign_ins", title="Sign-ins past their time",
        sentence="Sign-ins at the API that nobody closed, when even their last token has run out.",
        covers=(), expires_after=SIGNED_IN_FOR, held_with="sessions",
        steps=(Step(LoginSession, "created_at", Q(revoked_at__isnull=True)),),
    ),
    DataClass(
        name="login_guards", title="Failed sign-ins",
        sentence="How often somebody guessed a password, a code or a patient, without whose. A lock lasts minutes.",
        covers=("users.LoginGuard",), expires_after=timedelta(days=1),
        steps=(Step(LoginGuard, "began_at"),),
    ),
    DataClass(
        name="nobodys_notices", title="E-mails to nobody",
        sentence="Written when somebody guessed at a login nobody has, so that it costs the same. Nobody was told.",
        covers=(), expires_after=timedelta(days=1), held_with="login_notices",
        steps=(Step(LoginNotice, "created_at", OVER & Q(user__isnull=True)),),
    ),
    DataClass(
        name="smart_assertions", title="Used sign-ins of systems",
        sentence="Kept so that an assertion cannot be used twice; once it has expired its age refuses it.",
        covers=("interop.SmartAssertion",), expires_after=timedelta(),
        steps=(Step(SmartAssertion, "expires_at"),),
    ),
    DataClass(
        name="patient_links", title="Links of patients",
        sentence="The secret addresses in messages, which open nothing once they have expired.",
        covers=("messaging.PatientLink",), expires_after=timedelta(),
        steps=(Step(PatientLink, "expires_at"),),
    ),
    DataClass(
        name="idempotency_keys", title="Keys of repeated requests",
        sentence="An Idempotency-Key is good for a day.",
        covers=("core.IdempotentRequest",), expires_after=timedelta(hours=24),
        steps=(Step(IdempotentRequest, "created_at"),),
    ),
)  # fmt: skip

KEPT = (
    DataClass(
        name="audit_log", title="Audit log",
        sentence="Who did what and looked at whom.",
        covers=(*within("core", "AuditLog AuditSeal AuditAnchor AuditCheck AuditArchive"), "admin.LogEntry"),
        floor_days=SIX_YEARS, law=DOCUMENTED,
        kept="The database refuses to delete of it; whole old months are taken off by `manage audit detach`.",
    ),
    DataClass(
        name="medical_record", title="Medical record",
        sentence="Patients, their visits, notes, orders, results and prescriptions.",
        covers=(
            "patients.Patient", "messaging.StaffTask",
            *within(
                "appointments",
                "Appointment Recall RecallRule ReminderPolicy WaitlistEntry WaitlistOffer",
            ),
            *within("clinical_notes", "ClinicalNote ClinicalNoteTemplate ProgressNote SOAPNote"),
            *within(
                "laboratory",
                "CriticalPage CriticalPolicy CriticalResult CriticalStep FeedRhythm FillerNumber LabCodeMapping "
                "LabFeed LabOrder LabResult LabSpecimen LabTest ReportedPanel",
            ),
            *within("prescriptions", "Medication Prescription PrescriptionRefill"),
        ),
        law="the law of the state",
        kept="How long it is kept depends on the patient's age and state; a person decides.",
    ),
    DataClass(
        name="emergency_accesses", title="Opened records",
        sentence="Who opened the record of a patient who was not theirs, why, and what the review said.",
        covers=("patients.EmergencyAccess",), floor_days=SIX_YEARS, law=DOCUMENTED,
        kept="The audit log points to them.",
    ),
    DataClass(
        name="consents", title="Consents to messages",
        sentence="Who agreed to texts and e-mails, and who took it back.",
        covers=("patients.ContactConsent", "patients.ContactPoint"), floor_days=FOUR_YEARS, law=TEXTS,
        kept="Without them nobody could prove that a message was wanted.",
    ),
    DataClass(
        name="lab_messages", title="Messages of laboratories",
        sentence="HL7 messages as they came and as they were sent, byte for byte.",
        covers=within(
            "laboratory",
            "DroppedFinding InboundMessage IntakeCount LabOrderMessage LabReplay ReplayedMessage Restatement",
        ),
        floor_days=731, law="42 CFR 493.1105(a)",
        kept="Results point to them, and the books of the feeds count them; they go with the record.",
    ),
    DataClass(
        name="claims", title="Claims and their files",
        sentence="Claims, payments, the files to and from payers, byte for byte, and what was asked of payers.",
        covers=within(
            "insurance",
            "AckEvent BillingEntity ClaimLine ClaimLineAdjudication Code CodeSet ControlNumber Deposit "
            "EligibilityInquiry InboundFile InsuranceClaim InsurancePlan InsuranceProvider Interchange PartnerPayer "
            "PatientInsurance Posting PriorAdjudication ProviderAdjustment ReferringProvider Remittance "
            "RemittanceClaim ServiceFacility StatusInquiry Submission TradingPartner",
        ),
        floor_days=3653, law="42 CFR 422.504(d)",
        kept="The ledger is only ever added to, and everything in it points back to a file.",
    ),
    DataClass(
        name="staff", title="Staff and their credentials",
        sentence="People who work here and sign in, their papers, checks and exceptions.",
        covers=(
            *within("users", "Authenticator RecoveryCode User"),
            *within(
                "doctors", "Doctor DoctorAvailability DoctorCredential DoctorSpecialization Specialization"
            ),
            *within(
                "employees",
                "Department Employee EmployeeCredential EmployeePerformanceReview EmployeeTimeOff PtoEntry "
                "TimeOffPolicy",
            ),
            *within("credentials", "CredentialOverride CredentialPolicy CredentialRules RegistryCheck"),
        ),
        kept="Signatures and the audit log point to them; somebody who leaves is closed, not removed.",
    ),
    DataClass(
        name="settings", title="Settings",
        sentence="The practice, its partners, templates, rules and groups.",
        covers=(
            *within("core", "Clinic RetentionRule"),
            *within("interop", "PatientGroup PatientGroupMember SmartClient"),
            *within("messaging", "ContactRules MessageTemplate Sender"),
            *within("auth", "Group Permission"), "contenttypes.ContentType",
        ),
        kept="They hold no history.",
    ),
    DataClass(
        name="counts", title="Counts",
        sentence="How many rows were worked and written, and when each entry of the beat ran.",
        covers=("core.WorkTally", "core.RowTally", "core.Heartbeat"),
        kept="Old tallies are added up by day and month, and the count of rows is proof that none is missing.",
    ),
    DataClass(
        name="sandbox", title="Texts and mails of a test machine",
        sentence="Without a provider messages land as files in the folder outbox.", covers=(),
        kept="A clinic has a provider; on a test machine empty the folder.",
    ),
)  # fmt: skip

CLASSES = (*BY_RULE, *EXPIRING, *KEPT)


def named(name: str) -> DataClass:
    """Return the class of this name that has a rule; refuse any other."""
    found = next((one for one in BY_RULE if one.name == name), None)
    if found is None:
        raise DomainError("There is no class of data of this name that a rule could remove.")
    return found
