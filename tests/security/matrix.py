"""Lists every resource and call and makes a row of each; without it a new resource would be attacked by nobody."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from django.db import models, transaction
from django.urls import get_resolver
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from backend.apps.appointments.policies_serializers import ReplanForm
from backend.apps.appointments.tests.factories import make_appointment, make_reminder, make_reminder_policy
from backend.apps.appointments.tests.waitlist_factories import (
    make_recall,
    make_recall_rule,
    make_waitlist_entry,
    make_waitlist_offer,
)
from backend.apps.clinical_notes.tests.factories import make_note, make_progress, make_soap, make_template
from backend.apps.core import alerts
from backend.apps.core.management.commands.roles import viewsets
from backend.apps.core.models import AuditLog, Clinic, RetentionRule, RetentionRun
from backend.apps.core.roles import STAFF, Role
from backend.apps.core.views import Audited
from backend.apps.credentials.models import CredentialRules
from backend.apps.credentials.tests import factories as credential_factories
from backend.apps.credentials.tests.override_factories import make_override
from backend.apps.credentials.tests.registry_factories import make_registry_check
from backend.apps.doctors.models import Doctor
from backend.apps.doctors.tests.factories import make_availability, make_credential, make_doctor, make_specialization
from backend.apps.employees.models import Employee
from backend.apps.employees.tests.balance_factories import make_pto_entry, make_time_off_policy
from backend.apps.employees.tests.factories import (
    make_department,
    make_employee,
    make_employee_credential,
    make_review,
    make_time_off,
)
from backend.apps.insurance.deposit_serializers import CsvForm
from backend.apps.insurance.inquiry_serializers import CoveragesForm
from backend.apps.insurance.submission_serializers import ClaimsForm
from backend.apps.insurance.tests.factories import (
    billing_entity,
    make_claim,
    make_patient_insurance,
    make_plan,
    make_prior_adjudication,
    make_provider,
    make_submission,
    partner,
    referring_provider,
    route,
    service_facility,
)
from backend.apps.insurance.tests.inquiry_factories import (
    make_deposit,
    make_eligibility_inquiry,
    make_interchange,
    make_status_inquiry,
)
from backend.apps.insurance.tests.remittance_factories import (
    make_inbound_file,
    make_posting,
    make_provider_adjustment,
    make_remittance,
    make_remittance_claim,
)
from backend.apps.interop.inbox_api import RevealForm
from backend.apps.laboratory.inbox_serializers import ReplayForm
from backend.apps.laboratory.models import CriticalPolicy
from backend.apps.laboratory.tests.factories import (
    make_code_mapping,
    make_critical_page,
    make_critical_result,
    make_inbound_message,
    make_lab_feed,
    make_lab_order,
    make_lab_replay,
    make_lab_result,
    make_lab_specimen,
    make_lab_test,
    make_order_message,
)
from backend.apps.messaging.models import ContactRules
from backend.apps.messaging.template_serializers import PreviewForm
from backend.apps.messaging.tests.factories import make_message_template
from backend.apps.messaging.tests.inbox_factories import (
    make_inbound_text,
    make_patient_message,
    make_provider_event,
    make_staff_task,
)
from backend.apps.patients.emergency_serializers import BreakGlassForm, FindForm
from backend.apps.patients.models import ContactConsent, ContactPoint, Patient
from backend.apps.patients.serializers import SearchForm
from backend.apps.patients.tests.factories import make_emergency_access, make_patient
from backend.apps.prescriptions.tests.factories import make_medication, make_prescription, make_refill
from backend.apps.users.models import User
from backend.apps.users.tests.factories import make_user

RESOURCES: dict[str, type[Audited]] = dict(viewsets(get_resolver().url_patterns))
OF_LABEL = {view.queryset.model._meta.label: name for name, view in RESOURCES.items()}
CRUD = {
    "list": ("get", False),
    "retrieve": ("get", True),
    "create": ("post", False),
    "update": ("put", True),
    "partial_update": ("patch", True),
    "destroy": ("delete", True),
}
FORMS = {
    ("patients", "search"): SearchForm,
    ("patients", "find"): FindForm,
    ("patients", "break_glass"): BreakGlassForm,
    ("inbound-messages", "replay"): ReplayForm,
    ("reminder-policies", "replan"): ReplanForm,
    ("message-templates", "preview"): PreviewForm,
    ("inbound-messages", "reveal"): RevealForm,
    ("eligibility-inquiries", "ask_each"): CoveragesForm,
    ("deposits", "bring_in"): CsvForm,
    ("insurance-claims", "scrub_each"): ClaimsForm,
    ("insurance-claims", "submit_each"): ClaimsForm,
}  # of calls that are not made by `verb`


@dataclass(frozen=True)
class Practice:
    """A patient with a login, the doctor who treats them, and one login of every role."""

    patient: Patient
    doctor: Doctor
    employee: Employee
    logins: dict[str, User]


@dataclass(frozen=True)
class Call:
    """One thing that can be done to a resource."""

    action: str
    method: str
    detail: bool
    path: str = ""
    form: Any = None

    def url(self, resource: str, pk: object) -> str:
        middle = f"{pk}/" if self.detail else ""
        return f"/api/v1/{resource}/{middle}{self.path}"


def make_practice() -> Practice:
    logins = {str(role): make_user(role=role) for role in Role}
    doctor = make_doctor(user=logins[Role.DOCTOR])
    patient = make_patient(user=logins[Role.PATIENT], sms_consent=True, email_consent=True)
    files = {role: make_employee(user=logins[role]) for role in STAFF}
    return Practice(patient, doctor, files[Role.NURSE], logins)


def other_people(practice: Practice) -> Practice:
    """Return a practice with a new patient, doctor and nurse under the same logins of all other roles."""
    patient = make_patient(user=make_user(role=Role.PATIENT))
    return replace(practice, patient=patient, doctor=make_doctor(), employee=make_employee())


def both(practice: Practice) -> dict[str, Any]:
    return {"patient": practice.patient, "doctor": practice.doctor}


def make_released_result(practice: Practice) -> models.Model:
    result = make_lab_result(lab_order=make_lab_order(status="in_progress", **both(practice)))
    result.verify(practice.doctor.user)
    return result


def signed(part: models.Model, practice: Practice) -> models.Model:
    part.clinical_note.sign(practice.doctor.user)  # type: ignore[attr-defined]  # a part of a note
    return part


def make_alert() -> models.Model:
    return alerts.open_once(f"test:{uuid.uuid4()}", kind="lab_test", sentence="Something is wrong.")


def make_retention_rule() -> models.Model:
    count = RetentionRule.objects.count()
    return RetentionRule.objects.create(data_class=f"class {count}", keep_days=30)


MAKERS: dict[str, Callable[[Practice], models.Model]] = {
    "alerts": lambda _: make_alert(),
    "appointment-reminders": lambda p: make_reminder(appointment=make_appointment(**both(p))),
    "appointments": lambda p: make_appointment(**both(p)),
    "audit-logs": lambda p: AuditLog.objects.create(action="test", resource_type="patient", patient_id=p.patient.pk),
    "billing-entities": lambda _: billing_entity(),
    "clinical-note-templates": lambda p: make_template(doctor=p.doctor),
    "clinical-notes": lambda p: make_note(signed=True, **both(p)),
    "clinics": lambda _: Clinic.objects.create(name="Elm Street Clinic"),
    "contact-consents": lambda p: ContactConsent.objects.create(
        patient=p.patient, channel="sms", given=True, method="staff"
    ),
    "contact-points": lambda _: ContactPoint.objects.create(channel="email", address=f"{uuid.uuid4()}@example.org"),
    "contact-rules": lambda _: ContactRules.objects.create(),
    "credential-alerts": lambda p: credential_factories.make_alert(p.doctor),
    "credential-notices": lambda p: credential_factories.make_notice(p.doctor),
    "credential-overrides": lambda p: make_override(p.doctor),
    "credential-policies": lambda _: credential_factories.make_policy(),
    "credential-rules": lambda _: CredentialRules.objects.create(),
    "critical-pages": lambda p: make_critical_page(lab_order=make_lab_order(status="in_progress", **both(p))),
    "critical-policies": lambda _: CriticalPolicy.objects.create(),
    "critical-results": lambda p: make_critical_result(lab_order=make_lab_order(status="in_progress", **both(p))),
    "departments": lambda p: make_department(head=p.employee),
    "deposits": lambda _: make_deposit(),
    "doctor-availabilities": lambda p: make_availability(doctor=p.doctor),
    "doctor-credentials": lambda p: make_credential(doctor=p.doctor),
    "doctors": lambda p: p.doctor,
    "eligibility-inquiries": lambda p: make_eligibility_inquiry(patient=p.patient),
    "emergency-accesses": lambda p: make_emergency_access(patient=p.patient, user=p.doctor.user),
    "employee-credentials": lambda p: make_employee_credential(employee=p.employee),
    "employee-performance-reviews": lambda p: make_review(employee=p.employee),
    "employee-time-offs": lambda p: make_time_off(employee=p.employee),
    "employees": lambda p: p.employee,
    "inbound-files": lambda _: make_inbound_file(),
    "inbound-messages": lambda p: make_inbound_message(patient=p.patient),
    "inbound-texts": lambda p: make_inbound_text(patient=p.patient),
    "interchanges": lambda _: make_interchange(),
    "insurance-claims": lambda p: make_claim(patient_insurance=make_patient_insurance(patient=p.patient)),
    "insurance-plans": lambda _: make_plan(),
    "insurance-providers": lambda _: make_provider(),
    "lab-code-mappings": lambda _: make_code_mapping(),
    "lab-feeds": lambda _: make_lab_feed(sending_facility=uuid.uuid4().hex),
    "lab-order-messages": lambda p: make_order_message(lab_order=make_lab_order(status="ordered", **both(p))),
    "lab-orders": lambda p: make_lab_order(status="ordered", **both(p)),
    "lab-replays": lambda p: make_lab_replay(make_inbound_message(patient=p.patient)),
    "lab-results": make_released_result,
    "lab-specimens": lambda p: make_lab_specimen(lab_order=make_lab_order(status="in_progress", **both(p))),
    "lab-tests": lambda _: make_lab_test(),
    "medications": lambda _: make_medication(),
    "message-templates": lambda _: make_message_template(),
    "partner-payers": lambda _: route(),
    "patient-insurances": lambda p: make_patient_insurance(patient=p.patient),
    "patient-messages": lambda p: make_patient_message(p.patient),
    "patients": lambda p: p.patient,
    "postings": lambda p: make_posting(p.patient),
    "prescription-refills": lambda p: make_refill(prescription=make_prescription(**both(p))),
    "pto-entries": lambda p: make_pto_entry(p.employee),
    "prescriptions": lambda p: make_prescription(**both(p)),
    "prior-adjudications": lambda p: make_prior_adjudication(p.patient),
    "progress-notes": lambda p: signed(make_progress(clinical_note=make_note(**both(p))), p),
    "recall-rules": lambda _: make_recall_rule(),
    "recalls": lambda p: make_recall(patient=p.patient),
    "provider-adjustments": lambda _: make_provider_adjustment(),
    "provider-events": lambda _: make_provider_event(),
    "referring-providers": lambda _: referring_provider(),
    "reminder-policies": lambda _: make_reminder_policy(),
    "retention-rules": lambda _: make_retention_rule(),
    "retention-runs": lambda _: RetentionRun.objects.create(data_class="alerts", cutoff=timezone.now()),
    "service-facilities": lambda _: service_facility(),
    "registry-checks": lambda p: make_registry_check(p.doctor.user),
    "remittance-claims": lambda _: make_remittance_claim(),
    "remittances": lambda _: make_remittance(),
    "soap-notes": lambda p: signed(make_soap(clinical_note=make_note(**both(p))), p),
    "specializations": lambda _: make_specialization(),
    "staff-tasks": lambda p: make_staff_task(p.patient),
    "status-inquiries": lambda p: make_status_inquiry(patient=p.patient),
    "submissions": lambda p: make_submission(p.patient),
    "time-off-policies": lambda _: make_time_off_policy(),
    "trading-partners": lambda _: partner(),
    "users": lambda p: p.patient.user,
    "waitlist-entries": lambda p: make_waitlist_entry(**both(p)),
    "waitlist-offers": lambda p: make_waitlist_offer(entry=make_waitlist_entry(**both(p))),
}
DRAFTS: dict[str, Callable[[Practice], models.Model]] = {  # of rows that no longer change once patients see them
    "clinical-notes": lambda p: make_note(**both(p)),
    "progress-notes": lambda p: make_progress(clinical_note=make_note(**both(p))),
    "soap-notes": lambda p: make_soap(clinical_note=make_note(**both(p))),
}


def make(resource: str, practice: Practice, *, draft: bool = False) -> Any:
    """Create one row of `resource` that belongs to the practice's patient, doctor or nurse where it belongs to anybody.

    draft: it may still be changed and deleted, and patients may not see it yet.
    """
    assert resource in MAKERS, f"Say in matrix.MAKERS how a row of {resource} is made."
    maker = DRAFTS.get(resource) if draft else None
    return (maker or MAKERS[resource])(practice)


def model_of(resource: str) -> Any:
    return RESOURCES[resource].queryset.model


def calls(resource: str) -> list[Call]:
    """Return everything the viewset of `resource` does."""
    view = RESOURCES[resource]
    found = [Call(action, method, detail) for action, (method, detail) in CRUD.items() if hasattr(view, action)]
    for extra in view.get_extra_actions():
        form = inspect.getclosurevars(extra).nonlocals.get("takes") or FORMS.get((resource, extra.__name__))
        for method, name in extra.mapping.items():
            found.append(Call(name, method, extra.detail, f"{extra.url_path}/", form))
    return found


def view_of(resource: str, user: User, action: str) -> Any:
    """Return the viewset as it stands when `user` does `action`."""
    request = Request(APIRequestFactory().get("/"))
    request.user = user
    view = RESOURCES[resource](request=request, action=action, format_kwarg=None, kwargs={})
    view.request = request
    return view


@contextmanager
def undone() -> Iterator[None]:
    """Take back whatever happens inside."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def contents(model: Any) -> list[tuple[Any, ...]]:
    return list(model._base_manager.order_by("pk").values_list())
