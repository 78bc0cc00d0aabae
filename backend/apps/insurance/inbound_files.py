"""What a person does with a file from a partner; without it a file put aside would stay there."""

from __future__ import annotations

from django.db import transaction

from backend.apps.core.exceptions import DomainError
from backend.apps.core.work import WorkState
from backend.apps.insurance.models import InboundFile
from backend.apps.users.models import User

OPEN = (InboundFile.Status.QUARANTINED, InboundFile.Status.PARTLY, InboundFile.Status.RECEIVED)
AT_REST = (WorkState.DONE, WorkState.HELD, WorkState.FAILED)


@transaction.atomic
def retry(file: InboundFile, *, by: User | None) -> InboundFile:
    """Read a file once more, after a mend say; what of it has been applied stays as it is."""
    if file.status not in OPEN:
        raise DomainError("This file has been applied; there is nothing to read again.")
    if not InboundFile.work.back_in_line(file.pk, at_rest=AT_REST):
        raise DomainError("This file is being read, or will be in a moment.")
    file.refresh_from_db(from_queryset=InboundFile._base_manager.defer("content"))
    return file
