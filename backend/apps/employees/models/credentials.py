"""What entitles people to do their work, with its day of expiry; else nobody would know whose licence has run out."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, ClassVar, Self

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import connection, models, transaction
from django.db.models import F, Q
from django.utils import timezone

from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel, SoftDeleteManager, SoftDeleteQuerySet
from backend.apps.core.documents import KeptIn, validate_document
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.core.roles import Role
from backend.apps.core.scope import Access
from backend.apps.core.sealed import BlindIndex, SealedTextField, same
from backend.apps.employees.models.staff import NOBODY, Employee

EXPIRES_SOON = timedelta(days=30)
TAKEN_OVER = "Taken over from the doctor's file"  # who issued what an update made of the numbers there
ON_FILE = "This credential is already on file."
CHECKED_BY = (
    "is_verified", "verified_by", "verified_at", "verification_method", "rejected_by", "rejected_at",
    "rejection_reason",
)  # fmt: skip


class CredentialQuerySet(SoftDeleteQuerySet):
    def expired(self, today: date) -> Self:
        return self.filter(expiry_date__lt=today)

    def expiring_soon(self, today: date) -> Self:
        return self.filter(expiry_date__gte=today, expiry_date__lte=today + EXPIRES_SOON)

    def unreviewed(self) -> Self:
        """Return what nobody has verified or rejected yet, whatever days it is of: past ones are billed by it too."""
        return self.filter(is_verified=False, rejected_at=None)

    def awaiting_review(self, today: date) -> Self:
        """Return of what is unreviewed that which is not replaced, and of what is replaced what still holds today."""
        lasts = Q(expiry_date=None) | Q(expiry_date__gte=today)
        wanted = Q(replaced_by=None) | (Q(issue_date__lte=today) & lasts)
        return self.unreviewed().filter(wanted)


CredentialManager = SoftDeleteManager.from_queryset(CredentialQuerySet)


class CredentialType(models.TextChoices):
    STATE_LICENSE = "state_license"
    DEA = "dea", "DEA registration"
    BOARD_CERTIFICATION = "board_certification"
    MALPRACTICE = "malpractice", "Malpractice insurance"
    BLS = "bls", "Basic life support"
    ACLS = "acls", "Advanced cardiac life support"
    IMMUNIZATION = "immunization"
    HIPAA_TRAINING = "hipaa_training", "HIPAA training"
    OTHER = "other"


OF_HEALTH = frozenset({CredentialType.IMMUNIZATION, CredentialType.OTHER})  # or may be: nothing for a manager


class VerificationMethod(models.TextChoices):
    DOCUMENT = "document", "the document was seen"
    ISSUER = "issuer", "whoever issued it was asked"
    REGISTRY = "registry", "a public registry has it"


class Credential(ClinicModel):
    """A document that entitles a person to do something, until the end of the day `expiry_date`; empty is for ever.

    A reviewer verifies or rejects it; one that is rejected entitles to nothing. replaced_by: the renewed one, which
    closes the ladder of alerts of this one. next_alert_on: the day the sweep has to look at it, None for never; a
    trigger of the app `credentials` keeps it when expiry, type, renewal or deletion change.
    """

    credential_type = models.CharField(max_length=20, choices=CredentialType)
    issuing_organization = models.CharField(max_length=160)
    number = SealedTextField(max_length=60, blank=True)
    number_index = BlindIndex("number", normal="whole")
    state = models.CharField(
        max_length=2, blank=True, validators=[RegexValidator(r"^[A-Z]{2}$", "Two capital letters, as NY.")]
    )
    issue_date = models.DateField()
    expiry_date = models.DateField(null=True, blank=True)
    document = models.FileField(
        upload_to=KeptIn("credentials", "document"), blank=True, max_length=200, validators=[validate_document]
    )
    is_verified = models.BooleanField(default=False, editable=False)
    verified_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    verified_at = models.DateTimeField(null=True, blank=True, editable=False)
    verification_method = models.CharField(
        max_length=8, blank=True, default="", db_default="", choices=VerificationMethod, editable=False
    )
    rejected_by = models.ForeignKey(
        "users.User", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    rejected_at = models.DateTimeField(null=True, blank=True, editable=False)
    rejection_reason = models.CharField(max_length=300, blank=True, default="", db_default="", editable=False)
    replaced_by = models.ForeignKey(
        "self", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="replaces", db_index=False
    )
    next_alert_on = models.DateField(null=True, blank=True, editable=False)

    HOLDER: ClassVar[str]  # the field that says whose it is
    replaced_by_id: Any  # Django adds these two; on an abstract model the type checker does not see it
    replaces: Any

    objects: ClassVar = CredentialManager()

    class Meta(ClinicModel.Meta):
        abstract = True
        ordering = ["expiry_date", "id"]

    @property
    def holder(self) -> Any:
        """The doctor or employee it belongs to; each has a `user`."""
        raise NotImplementedError

    @property
    def holder_id(self) -> Any:
        return getattr(self, f"{self.HOLDER}_id")

    @property
    def is_in_registry(self) -> bool:
        """Whether a public registry was looked at lately and has both this paper and its holder as we have them."""
        return False

    @property
    def is_expired(self) -> bool:
        return self.is_expired_on(Clinic.today())

    @property
    def is_expiring_soon(self) -> bool:
        """Whether it still holds today but not 31 days from now."""
        return self.is_expiring_soon_on(Clinic.today())

    def opens_document_to(self, user: Any) -> bool:
        """Return whether this person, who sees the credential, may see its document: of health only the own."""
        is_private = self.credential_type in OF_HEALTH
        return not is_private or user.role == Role.ADMIN or self.holder.user_id == user.pk

    def is_expired_on(self, day: date) -> bool:
        return self.expiry_date is not None and self.expiry_date < day

    def is_expiring_soon_on(self, day: date) -> bool:
        return self.expiry_date is not None and day <= self.expiry_date <= day + EXPIRES_SOON

    def clean(self) -> None:
        super().clean()
        if self.credential_type == CredentialType.STATE_LICENSE and not self.state:
            raise ValidationError({"state": "A licence is one of a state; write its two letters."})
        alike = {name: getattr(self, name) for name in ("credential_type", "state", "issue_date", f"{self.HOLDER}_id")}
        twins = type(self).objects.filter(same(type(self), "number_index", self.number), **alike).exclude(pk=self.pk)
        if self.number and twins.exists():
            raise ValidationError(ON_FILE)

    def verify(self, user: Any, method: str = VerificationMethod.DOCUMENT) -> None:
        """Note that `user` has checked this, and how; of one that has ended that it was so on its own days."""
        if self.is_verified:
            raise DomainError("This credential is already verified.")
        self.unverify()
        self.is_verified, self.verified_by, self.verified_at = True, user, timezone.now()
        self.verification_method = method
        self.save(update_fields=[*CHECKED_BY, "updated_at"])

    def reject(self, user: Any, reason: str) -> None:
        """Note that `user` has checked this and that it does not hold."""
        self.unverify()
        self.rejected_by, self.rejected_at, self.rejection_reason = user, timezone.now(), reason
        self.save(update_fields=[*CHECKED_BY, "updated_at"])

    def lock_papers(self) -> None:
        """Let one transaction at a time say which papers of this person hold; it is taken before any of the papers.

        It is no lock of the holder's row: who ends an employment has that one before the login's, and a login that is
        closed or opened takes this one after its own, by a trigger of the app `credentials`.
        """
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"papers of {self.holder_id}"])

    def give_back(self) -> None:
        """Let what this one replaced count again, or be replaced by what replaced this one."""
        replaced = type(self)._base_manager.filter(replaced_by=self.pk)
        replaced.update(replaced_by=self.replaced_by_id, updated_at=timezone.now())

    @transaction.atomic
    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        self.lock_papers()
        self.refresh_from_db(fields=["replaced_by"])
        self.give_back()
        return super().delete(*args, **kwargs)

    def unverify(self) -> None:
        """Forget an earlier check, because what was checked has changed; save separately."""
        self.is_verified, self.verified_by, self.verified_at, self.verification_method = False, None, None, ""
        self.rejected_by, self.rejected_at, self.rejection_reason = None, None, ""


def credential_constraints(prefix: str, holder: str) -> list[models.BaseConstraint]:
    """Return the rules of a table of credentials; holder: the name of the field that says whose they are."""
    return [
        SOFT_DELETE_CHECK,
        models.CheckConstraint(
            condition=Q(credential_type__in=CredentialType.values),
            name=f"{prefix}_type_known",
        ),
        models.CheckConstraint(
            condition=Q(expiry_date__isnull=True) | Q(expiry_date__gt=F("issue_date")),
            name=f"{prefix}_expires_after",
            violation_error_message="The expiry date is not after the issue date.",
        ),
        models.CheckConstraint(
            condition=Q(is_verified=False, verified_at__isnull=True, verified_by__isnull=True)
            | Q(is_verified=True, verified_at__isnull=False),
            name=f"{prefix}_verified_when",
        ),
        models.CheckConstraint(
            condition=Q(rejected_at__isnull=True, rejection_reason="")
            | (Q(rejected_at__isnull=False, is_verified=False) & ~Q(rejection_reason="")),
            name=f"{prefix}_rejected_why",
        ),
        models.CheckConstraint(
            condition=Q(replaced_by__isnull=True) | ~Q(replaced_by=F("id")), name=f"{prefix}_replaced_by_another"
        ),
        models.UniqueConstraint(
            fields=[holder, "credential_type", "number_index", "state", "issue_date"],
            condition=Q(is_deleted=False),
            name=f"{prefix}_once",
            violation_error_message=ON_FILE,
        ),
    ]


def credential_indexes(prefix: str) -> list[models.Index]:
    return [
        models.Index(fields=["expiry_date"], name=f"{prefix}_expiry", condition=Q(is_deleted=False)),
        models.Index(fields=["credential_type", "expiry_date"], name=f"{prefix}_type_expiry"),
        models.Index(fields=["is_verified"], name=f"{prefix}_verified"),
        models.Index(fields=["next_alert_on", "id"], name=f"{prefix}_due", condition=Q(next_alert_on__isnull=False)),
        models.Index(fields=["replaced_by"], name=f"{prefix}_renewal", condition=Q(replaced_by__isnull=False)),
    ]


class EmployeeCredential(Credential):
    """A credential of somebody on the staff, a nurse's licence say; those of a doctor are DoctorCredentials."""

    access: ClassVar[Access] = Access(
        sees_all=NOBODY,
        owners=("employee__user", "employee__manager__user", "employee__department__head__user"),
    )

    HOLDER: ClassVar[str] = "employee"

    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="credentials")

    class Meta(Credential.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = credential_constraints("employees_credential", "employee")
        indexes: ClassVar[list[models.Index]] = credential_indexes("staff_credential")

    @property
    def holder(self) -> Employee:
        return self.employee
