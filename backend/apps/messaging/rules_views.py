"""The resource `contact-rules`: hours, caps and name the clinic writes to patients under."""

from __future__ import annotations

from backend.apps.core.views import ClinicViewSet
from backend.apps.messaging import contact_rules, permissions
from backend.apps.messaging.models import ContactRules
from backend.apps.messaging.rules_serializers import ContactRulesSerializer


class ContactRulesViewSet(ClinicViewSet):
    queryset = ContactRules.objects.all()
    serializer_class = ContactRulesSerializer
    permissions = permissions.CONTACT_RULES
    creates = contact_rules.write
    updates = contact_rules.change
