"""How many messages came, counted as they came; without this a row that was deleted would take its proof with it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class IntakeCount(models.Model):
    """Messages stored in one hour (UTC) by one database session. Only a trigger writes it, in the storing transaction.

    A row per session, so that those who store at the same time never wait for each other. `marks`: the exclusive or of
    a hash of each message's names and digest, which finds a row that was exchanged for another. A refused stranger's
    message that is sent again once its feed is set up moves there: out of one account, into another.
    """

    feed = models.ForeignKey("laboratory.LabFeed", null=True, on_delete=models.PROTECT, related_name="+")
    by_file = models.BooleanField(default=False)
    hour = models.DateTimeField()
    session = models.IntegerField()
    taken = models.PositiveBigIntegerField(default=0, db_default=0)
    moved_in = models.PositiveBigIntegerField(default=0, db_default=0)
    moved_out = models.PositiveBigIntegerField(default=0, db_default=0)
    marks = models.BigIntegerField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["hour", "feed", "by_file", "session"],
                nulls_distinct=False,
                name="laboratory_intakecount_once",
            ),
        ]

    def __str__(self) -> str:
        return f"intake of {self.hour:%Y-%m-%d %H}:00"
