"""The resource `credential-overrides`."""

from __future__ import annotations

from typing import ClassVar

from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.credentials import overrides
from backend.apps.credentials.models import CredentialOverride
from backend.apps.credentials.override_permissions import OVERRIDE
from backend.apps.credentials.override_serializers import CredentialOverrideSerializer


class CredentialOverrideViewSet(ClinicViewSet):
    """Exceptions an administrator made, each for 72 hours at most; a doctor sees the own ones."""

    queryset = CredentialOverride.objects.all()
    serializer_class = CredentialOverrideSerializer
    permissions = OVERRIDE
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "doctor": ["exact"],
        "credential_type": ["exact"],
        "granted_at": ["gte", "lt"],
    }
    ordering_fields = ("granted_at",)
    ordering = ("-granted_at",)
    creates = overrides.grant
    end = verb(overrides.end)
