"""What proves the audit log: its seals, where they were anchored outside, its checks, and the months taken off it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from backend.apps.core.bases import UUIDModel


class AuditSeal(models.Model):
    """One link of the chain over the audit log: the Merkle root of a range of whole transactions, signed.

    Rows are only ever added: a trigger sees to it. from_xid, to_xid: the range, its end not included; each seal begins
    where the one before ended. leaves: of each row its key (16 bytes) and its digest (32), in the order of transaction
    and key. kind "adopted": made by a person after the database was restored elsewhere; its leaves may lie in earlier
    ranges. cluster: the system identifier of the PostgreSQL it was made on. What is hashed is in `core.merkle`.
    """

    class Kind(models.TextChoices):
        SEALED = "sealed"
        ADOPTED = "adopted"

    n = models.BigIntegerField(primary_key=True)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.SEALED)
    from_xid = models.BigIntegerField()
    to_xid = models.BigIntegerField()
    rows = models.PositiveIntegerField()
    leaves = models.BinaryField()
    root = models.BinaryField(max_length=32)
    prev = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)
    key_id = models.CharField(max_length=16)
    signature = models.BinaryField(max_length=64)
    cluster = models.CharField(max_length=20)
    sealed_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=models.Q(from_xid__lte=models.F("to_xid")), name="core_auditseal_range")
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["to_xid"], name="audit_seal_to"),
            models.Index(fields=["sealed_at"], name="audit_seal_at"),
        ]

    def __str__(self) -> str:
        return f"seal {self.n}"


class AuditAnchor(models.Model):
    """Up to which seal a place outside was told, and of which archives. target: as CARERELAY_AUDIT_ANCHOR names it.

    hash: of the seal n as it was told, so that another one in its place is noticed; empty before the first.
    archives: the ids of the archives it was told of. read_to, read_n: up to which byte of a file the looks of the beat
    have compared it, and the last seal they met there. read_archives: {"until": read_to, "met": of each archive they
    met a line of, what was signed of it as hexadecimal digits and the name of its file}.
    """

    target = models.CharField(max_length=300, primary_key=True)
    n = models.BigIntegerField(default=0)
    hash = models.BinaryField(max_length=32, default=bytes, db_default=b"")
    archives = models.JSONField(default=list, db_default=[], blank=True)
    read_to = models.BigIntegerField(default=0, db_default=0)
    read_n = models.BigIntegerField(default=0, db_default=0)
    read_archives = models.JSONField(default=dict, db_default={}, blank=True)
    anchored_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.target


class AuditCheck(UUIDModel):
    """One run of a look at the audit log. findings: sentences with ids of rows and numbers of seals, the first hundred.

    first, last: the seals this run looked at. A look takes one run or several: it began at `began_at` with the seal
    `begun_with`, has found `wrong` faults by now, and has `ended` when it reached the last seal. verified_until: all
    that was written before it is as it was sealed; only where the look ended and found nothing.
    """

    began_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)
    begun_with = models.BigIntegerField(default=1, db_default=1)
    wrong = models.PositiveBigIntegerField(default=0, db_default=0)
    ended = models.BooleanField(default=True, db_default=True)
    first = models.BigIntegerField(default=0)
    last = models.BigIntegerField(default=0)
    rows = models.PositiveBigIntegerField(default=0)
    seals = models.PositiveBigIntegerField(default=0)
    good = models.BooleanField()
    findings = models.JSONField(default=list, blank=True)
    verified_until = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["-ended_at"], name="audit_check_newest")]

    def __str__(self) -> str:
        return f"check of seals {self.first} to {self.last}"


class AuditArchive(UUIDModel):
    """A partition of the audit log that was written to a signed file and taken off. Rows are only ever added.

    statement: JSON that is signed, with the file's digest, its Merkle root and which leaves of which seals it holds, as
    `core.audit_files` writes and reads it.
    """

    label = models.CharField(max_length=40)
    rows = models.PositiveBigIntegerField()
    file_name = models.CharField(max_length=120)
    statement = models.TextField()
    key_id = models.CharField(max_length=16)
    signature = models.BinaryField(max_length=64)
    archived_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"archive {self.label}"
