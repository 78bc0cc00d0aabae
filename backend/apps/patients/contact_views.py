"""The resources `contact-consents` and `contact-points`: who agreed to what, and which addresses take messages."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

import django_filters
from django.db.models import Q, QuerySet

from backend.apps.core.sealed import same
from backend.apps.core.views import ClinicViewSet, ReadOnlyClinicViewSet, verb
from backend.apps.patients import consents, permissions
from backend.apps.patients.contacts import address_of
from backend.apps.patients.models import ContactConsent, ContactPoint, Patient
from backend.apps.patients.serializers import ContactConsentSerializer, ContactPointSerializer


class ContactConsentFilter(django_filters.FilterSet):
    class Meta:
        model = ContactConsent
        fields: ClassVar[dict[str, list[str]]] = {
            "patient": ["exact"],
            "method": ["exact"],
            "created_at": ["gte", "lt"],
        }


class ContactConsentViewSet(ReadOnlyClinicViewSet):
    queryset = ContactConsent.objects.all()
    serializer_class = ContactConsentSerializer
    permissions = permissions.CONTACT_CONSENT
    filterset_class = ContactConsentFilter


class ContactPointFilter(django_filters.FilterSet):
    """By patient and not by number: a number has no place in an address, where logs would keep it."""

    patient = django_filters.UUIDFilter(method="of_patient")
    opted_out = django_filters.BooleanFilter(field_name="opted_out_at", lookup_expr="isnull", exclude=True)
    unusable = django_filters.BooleanFilter(field_name="unusable_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = ContactPoint
        fields: ClassVar[dict[str, list[str]]] = {"updated_at": ["gte", "lt"]}

    def of_patient(self, rows: QuerySet[ContactPoint], name: str, pk: UUID) -> QuerySet[ContactPoint]:
        patient: Any = Patient.objects.visible_to(self.request.user).filter(pk=pk).first()
        if patient is None:
            return rows.none()
        wanted = Q()
        for channel in ("sms", "email"):
            wanted |= same(ContactPoint, "address_index", address_of(patient, channel)) & Q(channel=channel)
        return rows.filter(wanted)


class ContactPointViewSet(ClinicViewSet):
    """Numbers and mailboxes that opted out or cannot take messages; people may only say that one is usable again."""

    queryset = ContactPoint.objects.all()
    serializer_class = ContactPointSerializer
    permissions = permissions.CONTACT_POINT
    filterset_class = ContactPointFilter
    ordering_fields = ("updated_at",)
    ordering = ("-updated_at",)
    mark_usable = verb(consents.mark_usable)
