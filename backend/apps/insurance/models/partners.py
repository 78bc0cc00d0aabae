"""Which clearinghouse takes our files, and how; without this every payer's habits would stand in the code."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from backend.apps.core import scope
from backend.apps.core.bases import SOFT_DELETE_CHECK, ClinicModel
from backend.apps.core.exceptions import DomainError
from backend.apps.insurance import member_patterns
from backend.apps.insurance.models.payers import PAYER_ID, InsuranceProvider
from backend.apps.insurance.partner_addresses import validate_address, validate_host_key
from backend.apps.insurance.partner_places import are_apart, refuse_sharing

MOST_CLAIMS = 5000  # in one ST: 005010X222A1, front matter; some take fewer in a file
NUMBER_MOST = 999_999_999  # ISA13 and GS06 have nine digits
CLAIMS_WAIT = "Claims wait to be sent this way. Let them go first, or withdraw them."
NOT_APART = (
    "Our files and the answers need two folders, neither in the other: what we send would be taken as an answer."
)
SECRET_NAME = RegexValidator(r"^[a-z0-9][a-z0-9_-]{0,79}$", "Small letters, digits, - and _ only.")
X12_ID = RegexValidator(r"^[A-Z0-9 ._-]+$", "Capital letters, digits, blanks and . _ - only.")


class Transport(models.TextChoices):
    SFTP = "sftp", "SFTP"
    FOLDER = "folder", "a folder"
    HTTPS = "https", "HTTPS"


class Usage(models.TextChoices):
    TEST = "T", "test"
    PRODUCTION = "P", "production"


def identifier(length: int) -> models.CharField:
    return models.CharField(max_length=length, validators=[X12_ID])


def separator(default: str) -> models.CharField:
    return models.CharField(max_length=1, default=default)


class TradingPartner(ClinicModel):
    """One clearinghouse or payer that takes files. Secrets are named here and kept elsewhere; a host key is pinned."""

    access: ClassVar[scope.Access] = scope.STAFF_ONLY

    name = models.CharField(max_length=120, unique=True)
    is_active = models.BooleanField(default=True)
    usage = models.CharField(max_length=1, choices=Usage, default=Usage.TEST)
    our_qualifier = models.CharField(max_length=2, default="ZZ", validators=[X12_ID])
    our_id = identifier(15)
    their_qualifier = models.CharField(max_length=2, default="ZZ", validators=[X12_ID])
    their_id = identifier(15)
    our_group_id = identifier(15)
    their_group_id = identifier(15)
    submitter_id = identifier(80)
    receiver_name = models.CharField(max_length=60)
    receiver_id = identifier(80)
    ack_requested = models.BooleanField(default=False)
    element_separator = separator("*")
    repetition_separator = separator("^")
    component_separator = separator(":")
    segment_terminator = separator("~")
    max_claims_per_file = models.PositiveIntegerField(
        default=MOST_CLAIMS, validators=[MinValueValidator(1), MaxValueValidator(100_000)]
    )
    wants_trace = models.BooleanField(default=False, help_text="Wants our claim number in REF*D9 too.")
    transport = models.CharField(max_length=6, choices=Transport, default=Transport.SFTP)
    host = models.CharField(max_length=253, blank=True, default="")
    port = models.PositiveIntegerField(default=22, validators=[MinValueValidator(1), MaxValueValidator(65535)])
    username = models.CharField(max_length=80, blank=True, default="")
    secret_name = models.CharField(
        max_length=80, blank=True, default="", validators=[SECRET_NAME], help_text="Which secret file holds the key."
    )
    host_key = models.CharField(max_length=800, blank=True, default="", help_text="Its public key, or its SHA256.")
    base_url = models.CharField(max_length=500, blank=True, default="")
    outbound_folder = models.CharField(max_length=250, blank=True, default="", help_text="Where our files go.")
    inbound_folder = models.CharField(max_length=250, blank=True, default="", help_text="Where its answers lie.")
    file_prefix = models.CharField(max_length=40, blank=True, default="", validators=[SECRET_NAME])
    file_suffix = models.CharField(max_length=12, default=".x12", validators=[RegexValidator(r"^\.[A-Za-z0-9.]+$")])
    deletes_after_download = models.BooleanField(default=False)
    rejects_duplicates = models.BooleanField(
        default=False, help_text="Answers a second file with the same number by TA1 025: then it may be sent again."
    )
    ack_hours = models.PositiveIntegerField(default=24, help_text="Silence after a file that is told of, in hours.")
    remittance_days = models.PositiveIntegerField(default=30, help_text="Silence after an acceptance, in days.")
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    pause_reason = models.CharField(max_length=200, blank=True, default="", editable=False)
    collected_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(ClinicModel.Meta):
        ordering = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.CheckConstraint(condition=~Q(name=""), name="insurance_tradingpartner_named"),
            models.CheckConstraint(
                condition=Q(transport__in=Transport.values) & Q(usage__in=Usage.values),
                name="insurance_tradingpartner_kinds_known",
            ),
            models.CheckConstraint(
                condition=~Q(transport="sftp") | (~Q(host="") & ~Q(host_key="") & ~Q(username="")),
                name="insurance_tradingpartner_sftp_address",
                violation_error_message="SFTP needs a host, its pinned key and a user name.",
            ),
            models.CheckConstraint(
                condition=~Q(transport="https") | Q(base_url__startswith="http"),
                name="insurance_tradingpartner_https_address",
                violation_error_message="HTTPS needs an address.",
            ),
            models.CheckConstraint(
                condition=~Q(element_separator=F("component_separator"))
                & ~Q(element_separator=F("repetition_separator"))
                & ~Q(element_separator=F("segment_terminator"))
                & ~Q(component_separator=F("repetition_separator"))
                & ~Q(component_separator=F("segment_terminator"))
                & ~Q(repetition_separator=F("segment_terminator")),
                name="insurance_tradingpartner_separators_differ",
                violation_error_message="The four separators are four different characters.",
            ),
        ]

    @property
    def admin_label(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        self._check_address()
        separators = {self.element_separator, self.repetition_separator, self.component_separator,
                      self.segment_terminator}  # fmt: skip
        if any(one.isalnum() or one in " .-," or not one.isascii() for one in separators):
            raise ValidationError("A separator is no letter, digit, blank, point, comma or hyphen.")
        self._check_folders()
        if self.is_active:
            in_use = TradingPartner.objects.filter(is_active=True, transport=self.transport)
            refuse_sharing(self, in_use.exclude(pk=self.pk).order_by("name"))
        _refuse_switching_off(self, partner=self.pk)

    def _check_address(self) -> None:
        host_key = self.host_key if self.transport == Transport.SFTP else ""
        for name, given, validate in (
            ("base_url", self.base_url, validate_address),
            ("host_key", host_key, validate_host_key),
        ):
            try:
                if given:
                    validate(given)
            except ValidationError as refusal:
                raise ValidationError({name: refusal.messages}) from None

    def _check_folders(self) -> None:
        for name in ("outbound_folder", "inbound_folder") if self.transport == Transport.FOLDER else ():
            if not getattr(self, name):
                raise ValidationError({name: "A partner in folders needs both: for our files and for its answers."})
            if not _is_for_partners(getattr(self, name)):
                raise ValidationError({name: "Write a folder below the one that is for partners, without '..' in it."})
        if self.transport == Transport.SFTP and not (self.outbound_folder or self.inbound_folder):
            raise ValidationError({"outbound_folder": "Name at least one of the two folders."})
        if self.transport != Transport.HTTPS and not are_apart(self.outbound_folder, self.inbound_folder):
            raise ValidationError({"inbound_folder": NOT_APART})

    def delete(self, *args: object, **kwargs: object) -> tuple[int, dict[str, int]]:
        if self.interchanges.exists():
            raise DomainError("Files have gone to this partner; mark it as no longer in use instead.")
        if _claims_wait(partner=self.pk):
            raise DomainError(CLAIMS_WAIT)
        return super().delete()


def _claims_wait(**by: Any) -> bool:
    """Whether claims are in line for a file, or in one that has not left."""
    return apps.get_model("insurance", "Submission").objects.filter(status__in=["queued", "batched"], **by).exists()


def _refuse_switching_off(row: TradingPartner | PartnerPayer, **by: Any) -> None:
    if row.is_active or not type(row).objects.filter(pk=row.pk, is_active=True).exists():
        return
    if _claims_wait(**by):
        raise ValidationError({"is_active": CLAIMS_WAIT})


def _is_for_partners(folder: str) -> bool:
    """By its form alone; a worker looks where it leads."""
    root = Path(settings.PARTNER_FOLDERS)
    path = root / folder
    return path.is_relative_to(root) and path != root and ".." not in PurePath(folder).parts


class PartnerPayer(ClinicModel):
    """How one payer is reached by one clearinghouse: its number there, and what it takes."""

    access: ClassVar[scope.Access] = scope.STAFF_ONLY

    partner = models.ForeignKey(TradingPartner, on_delete=models.PROTECT, related_name="payers")
    provider = models.ForeignKey(InsuranceProvider, on_delete=models.PROTECT, related_name="routes")
    payer_id = models.CharField(max_length=80, validators=[RegexValidator(PAYER_ID)], help_text="2010BB NM109.")
    secondary_ids = models.JSONField(default=list, blank=True, help_text='Pairs, as [["2U", "12345"]].')
    is_active = models.BooleanField(default=True)
    takes_corrections = models.BooleanField(default=True, help_text="Takes frequency 7 and 8; Medicare B does not.")
    wants_one_year = models.BooleanField(default=False, help_text="All lines of a claim in one calendar year.")
    member_id_pattern = models.CharField(max_length=200, blank=True, default="", help_text="A regular expression.")
    answers_eligibility = models.BooleanField(default=False)
    answers_status = models.BooleanField(default=False)

    class Meta(ClinicModel.Meta):
        ordering = ["partner", "payer_id", "id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            SOFT_DELETE_CHECK,
            models.UniqueConstraint(
                fields=["provider"],
                condition=Q(is_active=True, is_deleted=False),
                name="insurance_partnerpayer_one_way",
                violation_error_message="This payer is reached by another partner already.",
            ),
            models.CheckConstraint(condition=Q(payer_id__regex=PAYER_ID), name="insurance_partnerpayer_id_form"),
        ]

    def clean(self) -> None:
        super().clean()
        if not isinstance(self.secondary_ids, list) or not all(map(_is_pair, self.secondary_ids)):
            raise ValidationError({"secondary_ids": 'Write pairs of a qualifier and a number, as [["2U", "12345"]].'})
        try:
            member_patterns.compiled(self.member_id_pattern)
        except ValueError as error:
            raise ValidationError({"member_id_pattern": str(error)}) from error
        _refuse_switching_off(self, **self._mine())

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        if _claims_wait(**self._mine()):
            raise DomainError(CLAIMS_WAIT)
        return super().delete(*args, **kwargs)

    def _mine(self) -> dict[str, Any]:
        payer = "claim__patient_insurance__insurance_plan__provider"
        return {"partner": self.partner_id, payer: self.provider_id, "interchange": None}


def _is_pair(value: Any) -> bool:
    """Two texts that fit REF01 and REF02."""
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value)):
        return False
    qualifier, number = value
    return 1 < len(qualifier) <= 3 and 0 < len(number) <= 50 and (qualifier + number).isprintable()


class ControlNumber(models.Model):
    """The last ISA13 or GS06 given to a partner: nine digits, each once for ever. Whoever takes one locks the row."""

    class Kind(models.TextChoices):
        INTERCHANGE = "isa"
        GROUP = "gs"

    partner = models.ForeignKey(TradingPartner, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=3, choices=Kind)
    last = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["partner", "kind"], name="insurance_controlnumber_once"),
            models.CheckConstraint(condition=Q(last__lte=NUMBER_MOST), name="insurance_controlnumber_nine_digits"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of partner {self.partner_id}"
