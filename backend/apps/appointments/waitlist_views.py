"""The resources `waitlist-entries` and `waitlist-offers`, for the front desk."""

from __future__ import annotations

from typing import ClassVar

import django_filters

from backend.apps.appointments import permissions, waitlist
from backend.apps.appointments.models import EntryStatus, OfferStatus, WaitlistEntry, WaitlistOffer
from backend.apps.appointments.waitlist_serializers import WaitlistEntrySerializer, WaitlistOfferSerializer
from backend.apps.core.views import ClinicViewSet, verb


class WaitlistEntryFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=EntryStatus.choices)

    class Meta:
        model = WaitlistEntry
        fields: ClassVar[dict[str, list[str]]] = {
            "patient": ["exact"],
            "doctor": ["exact"],
            "appointment_type": ["exact"],
            "until_on": ["gte", "lt"],
        }


class WaitlistEntryViewSet(ClinicViewSet):
    """Who would come sooner, first come first."""

    queryset = WaitlistEntry.objects.select_related("patient")
    serializer_class = WaitlistEntrySerializer
    permissions = permissions.WAITLIST_ENTRY
    filterset_class = WaitlistEntryFilter
    ordering_fields = ("created_at",)
    ordering = ("created_at",)
    creates = waitlist.join
    withdraw = verb(waitlist.withdraw)


class WaitlistOfferFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=OfferStatus.choices)

    class Meta:
        model = WaitlistOffer
        fields: ClassVar[dict[str, list[str]]] = {
            "slot": ["exact"],
            "entry": ["exact"],
            "entry__patient": ["exact"],
        }


class WaitlistOfferViewSet(ClinicViewSet):
    """Which free time is held for whom; the desk answers for a patient who calls."""

    queryset = WaitlistOffer.objects.select_related("slot", "entry")
    serializer_class = WaitlistOfferSerializer
    permissions = permissions.WAITLIST_OFFER
    filterset_class = WaitlistOfferFilter
    accept = verb(waitlist.accept)
    decline = verb(waitlist.decline)
