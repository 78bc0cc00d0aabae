"""What every message to a patient is: status, recipient, attempt; without it each kind would be sent by other rules."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.core.validators import validate_email
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from backend.apps.core.bases import ClinicModel
from backend.apps.core.sealed import NORMAL, BlindIndex, SealedTextField, with_one_of
from backend.apps.core.validators import validate_phone
from backend.apps.core.work import WorkItem, WorkState, work_indexes


class Channel(models.TextChoices):
    EMAIL = "email", "e-mail"
    SMS = "sms", "text message"
    PUSH = "push", "push message"


class MessageStatus(models.TextChoices):
    PENDING = "pending"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    BOUNCED = "bounced"
    SUPPRESSED = "suppressed", "suppressed: not wanted when it was due"
    SUPERSEDED = "superseded", "superseded: the appointment changed first"


RANK = {
    MessageStatus.PENDING: 0,
    MessageStatus.SENT: 1,
    MessageStatus.DELIVERED: 2,
    MessageStatus.FAILED: 2,
    MessageStatus.BOUNCED: 3,
}


class OutgoingMessage(ClinicModel, WorkItem):
    """One message to one patient. `status` is what the patient got, `work_state` what we did.

    Providers report late, twice and out of order: `status` only rises (see RANK). A subclass has `channel` and
    `patient`, as columns or properties; `channel_column` is the former's. replacement: path of a function that returns
    the channel to try when this one failed, or None; named and not imported, for it may stand above this app.

    lane: which goes first when the sender's rate is short, 0 before 1. useful_until: it is not sent after this.
    body_sha256, recipient_phone or recipient_email, provider, sender (our account and number there) and segments are
    written before the provider is spoken to, so that a send whose answer was lost can be found there. uncertain_since:
    when that happened and nobody knows the outcome yet. resends: how often it was sent again after such a loss.
    fallback_of: the message on another channel that this one replaces. digest_of: the message of another family member
    that said this too.
    """

    Status = MessageStatus

    replay_safe: ClassVar[bool] = False
    lanes: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)
    channel_column: ClassVar[str] = "channel"
    replacement: ClassVar[str]

    status = models.CharField(max_length=10, choices=MessageStatus, default=MessageStatus.PENDING, editable=False)
    status_reason = models.CharField(max_length=200, blank=True, editable=False)
    scheduled_send_time = models.DateTimeField()
    useful_until = models.DateTimeField(null=True, blank=True, editable=False)
    lane = models.PositiveSmallIntegerField(default=3, db_default=3, editable=False)
    wording = models.CharField(max_length=16, blank=True, default="", db_default="", editable=False)  # a MessageKind
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)
    delivered_at = models.DateTimeField(null=True, blank=True, editable=False)
    recipient_email = SealedTextField(max_length=254, blank=True, editable=False, validators=[validate_email])
    recipient_phone = SealedTextField(max_length=16, blank=True, editable=False, validators=[validate_phone])
    recipient_phone_index = BlindIndex("recipient_phone", normal="phone")
    external_id = models.CharField(max_length=128, blank=True, editable=False)  # the provider's name for the message
    provider = models.CharField(max_length=12, blank=True, default="", db_default="", editable=False)
    sender = models.CharField(max_length=120, blank=True, default="", db_default="", editable=False)
    provider_status = models.CharField(max_length=30, blank=True, default="", db_default="", editable=False)
    error_code = models.CharField(max_length=40, blank=True, default="", db_default="", editable=False)
    body_sha256 = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    segments = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    uncertain_since = models.DateTimeField(null=True, blank=True, editable=False)
    resends = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    fallback_of = models.ForeignKey(
        "self", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="fallbacks",
        db_index=False,
    )  # fmt: skip
    digest_of = models.ForeignKey(
        "self", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="told_with",
        db_index=False,
    )  # fmt: skip

    channel: Any
    patient: Any

    class Meta:
        abstract = True

    @property
    def attempt_id(self) -> str:
        """The name of this try, that travels with the message and comes back with its status."""
        return f"{self.pk}.{self.lease_no}"

    @property
    def recipient(self) -> str:
        """The number or mailbox it was written for, as contact points know it; empty before that."""
        return self.recipient_phone or NORMAL["email"](self.recipient_email)

    @classmethod
    def sent_to(cls, *numbers: str, path: str = "") -> Q:
        """Return the condition for texts to one of these numbers. path: to the message, as "digest_of__"."""
        return with_one_of(cls, "recipient_phone_index", numbers, path=path)

    @property
    def is_moot(self) -> bool:
        """Whether nobody has to be told any more: the visit is over or was cancelled, say."""
        return False

    def copy_for(self, channel: str) -> Self:
        """Return an unsaved message that says the same on another channel, now, instead of this one."""
        common = {field.attname for field in OutgoingMessage._meta.fields}
        own = [field for field in self._meta.concrete_fields if field.attname not in common and not field.generated]
        return type(self)(
            **{
                **{field.attname: getattr(self, field.attname) for field in own},
                **{name: getattr(self, name) for name in ("wording", "lane", "useful_until")},
                self.channel_column: channel,
            },
            scheduled_send_time=timezone.now(),
            due_at=self.due_at,
            fallback_of=self,
            dedupe_key=f"instead:{self.pk}",
        )

    def twin(self, channel: str) -> Self | None:
        """Return the message in whose place no copy of this one for `channel` can be, locked; None: there is room."""
        return None

    @classmethod
    def fields_when(cls, state: str) -> dict[str, Any]:
        """Held means that nobody knows the outcome; `workers.lost_messages` finds it out.

        A message that waits has been handed to no provider: `provider` is empty then, and stays so until that begins;
        nor does another one's text tell of it.
        """
        waiting = {"status": MessageStatus.PENDING, "uncertain_since": None, "provider": "", "digest_of": None}
        told: dict[str, dict[str, Any]] = {
            WorkState.FAILED: {"status": MessageStatus.FAILED},
            WorkState.WAITING: waiting,
            WorkState.HELD: {"uncertain_since": Now()},
        }
        return told.get(state, {})

    def mark_as_sent(self, external_id: str = "") -> bool:
        """Note that the provider took it; return whether anything changed. Also adopts a send whose answer was lost."""
        known = {"external_id": external_id} if external_id else {}
        return self._rise(MessageStatus.SENT, sent_at=Coalesce("sent_at", Now()), **known)

    def mark_as_delivered(self) -> bool:
        """Note that the patient's device or mailbox has it; return whether anything changed."""
        return self._rise(MessageStatus.DELIVERED, sent_at=Coalesce("sent_at", Now()), delivered_at=Now())

    def mark_as_failed(self, reason: str = "") -> bool:
        """Note that it did not arrive, with the provider's code; return whether anything changed."""
        return self._rise(MessageStatus.FAILED, status_reason=reason[:200])

    def mark_as_bounced(self, reason: str = "") -> bool:
        """Note that it came back, perhaps after it was said to be delivered; return whether anything changed."""
        return self._rise(MessageStatus.BOUNCED, status_reason=reason[:200])

    def _rise(self, new: MessageStatus, **changes: Any) -> bool:
        """Move to `new` from a lower status only; whoever still works on the row loses it, as `events` has it."""
        lower = [status for status, rank in RANK.items() if rank < RANK[new]]
        rose = (
            type(self)
            .all_objects.filter(pk=self.pk, status__in=lower)
            .update(
                **changes,
                status=new,
                work_state=Case(When(work_state=WorkState.FAILED, then=F("work_state")), default=Value(WorkState.DONE)),
                leased_until=None,
                uncertain_since=None,
                updated_at=timezone.now(),
            )
        )
        self.refresh_from_db()
        return bool(rose)


def one_fallback(name: str) -> models.UniqueConstraint:
    """Return the constraint that a message is replaced once; those that replace none are in no index."""
    return models.UniqueConstraint(fields=["fallback_of"], name=name, condition=Q(fallback_of__isnull=False))


def outgoing_indexes(name: str) -> list[models.Index]:
    """Return the indexes a table of messages needs; `name` is a short prefix."""
    return [
        *work_indexes(name, lanes=True),
        models.Index(fields=["uncertain_since"], name=f"{name}_uncertain", condition=Q(uncertain_since__isnull=False)),
        models.Index(
            fields=["recipient_phone_index", "-sent_at"],
            name=f"{name}_number",
            condition=Q(recipient_phone_index__isnull=False),
        ),
        models.Index(fields=["digest_of"], name=f"{name}_digest", condition=Q(digest_of__isnull=False)),
        models.Index(fields=["external_id"], name=f"{name}_external", condition=~Q(external_id="")),
    ]
