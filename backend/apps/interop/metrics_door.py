"""The address monitoring reads: the numbers of the clinic with those of its feeds, which the core does not know."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import F, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client.core import Metric

from backend.apps.core import metrics
from backend.apps.laboratory.models import InboundMessage, LabFeed


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    return metrics.answer(request, _feeds())


def _feeds() -> Iterator[Metric]:
    now = timezone.now()
    family = metrics.gauge("feed_silence_seconds", "Since when nothing has come from a laboratory, by id.", "feed")
    heard = InboundMessage.all_objects.filter(feed=OuterRef("pk")).order_by("-received_at").values("received_at")[:1]
    rows = LabFeed.objects.filter(is_active=True).order_by("pk")
    for feed, last in rows.values_list("pk", Coalesce(Subquery(heard), F("created_at"))):
        family.add_metric([str(feed)], max((now - last).total_seconds(), 0.0))
    yield family
