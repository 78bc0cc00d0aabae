"""The resources `trading-partners` and `partner-payers`: who takes our files, and for which payers."""

from __future__ import annotations

from typing import ClassVar

from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.insurance import partner_checks, pauses, permissions
from backend.apps.insurance.models import PartnerPayer, TradingPartner
from backend.apps.insurance.partner_serializers import PartnerPayerSerializer, PauseForm, TradingPartnerSerializer


class TradingPartnerViewSet(ClinicViewSet):
    queryset = TradingPartner.objects.all()
    serializer_class = TradingPartnerSerializer
    permissions = permissions.TRADING_PARTNER
    filterset_fields: ClassVar[dict[str, list[str]]] = {"is_active": ["exact"], "usage": ["exact"]}
    ordering_fields = ("name", "created_at")
    ordering = ("name",)
    pause = verb(pauses.pause, takes=PauseForm)
    resume = verb(pauses.resume)
    build_now = verb(pauses.build_now)
    collect_now = verb(pauses.collect_now)
    check = verb(partner_checks.check)


class PartnerPayerViewSet(ClinicViewSet):
    queryset = PartnerPayer.objects.select_related("partner", "provider")
    serializer_class = PartnerPayerSerializer
    permissions = permissions.PARTNER_PAYER
    filterset_fields: ClassVar[dict[str, list[str]]] = {
        "partner": ["exact"],
        "provider": ["exact"],
        "is_active": ["exact"],
    }
    ordering_fields = ("payer_id", "created_at")
    ordering = ("payer_id",)
