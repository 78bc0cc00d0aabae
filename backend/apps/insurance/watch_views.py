"""What the billing desk asks about claims: what was refused, what is late, what proves that we were not."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from backend.apps.core.filters import StrictOrdering
from backend.apps.core.models import Clinic
from backend.apps.core.views import ClinicViewSet, verb
from backend.apps.insurance import denials, status_requests, timely_filing, watching
from backend.apps.insurance.denial_groups import BY_KEY
from backend.apps.insurance.watch_serializers import (
    CloseForm,
    CountSerializer,
    DenialSerializer,
    FilingSerializer,
    ListedClaimSerializer,
    ProofSerializer,
    UnansweredSerializer,
)

GROUP = OpenApiParameter("group", str, enum=sorted(BY_KEY), description="Only refusals of this group.")


def listing(serializer: type[BaseSerializer[Any]], *ordering: str, takes: tuple[str, ...] = ()) -> Any:
    """Make a GET of a viewset of claims from a method that narrows and annotates its rows. takes: its parameters."""

    def wrap(narrow: Any) -> Any:
        def endpoint(self: ClinicViewSet, request: Request) -> Response:
            refuse_unknown(request, *takes)
            rows = self.paginate_queryset(narrow(self, self.get_queryset())) or []
            self.note(count=len(rows), ids=[str(row.pk) for row in rows])
            context = {**self.get_serializer_context(), "today": Clinic.today(), "refusals": denials.refusals(rows)}
            return self.get_paginated_response(serializer(rows, many=True, context=context).data)

        endpoint.__name__, endpoint.__doc__ = narrow.__name__, narrow.__doc__
        parameters = [GROUP] if takes else []
        documented = extend_schema(parameters=parameters, responses=serializer(many=True))(endpoint)
        how: dict[str, Any] = {"filter_backends": [StrictOrdering], "ordering": ordering, "ordering_fields": ()}
        return action(detail=False, methods=["get"], **how)(documented)

    return wrap


def refuse_unknown(request: Request, *known: str) -> None:
    """Refuse a misspelt parameter, which would answer with every row."""
    unknown = sorted(set(request.query_params) - {"limit", "cursor", "ordering", "format", *known})
    if unknown:
        raise ValidationError({"query": [f"This list has no filter {name[:40]!r}." for name in unknown[:5]]})


class WatchedClaims(ClinicViewSet):
    """The part of the resource `insurance-claims` that looks after what does not come by itself."""

    ask_status = verb(status_requests.ask_status)
    close_denial = verb(denials.close_denial, takes=CloseForm)

    @listing(DenialSerializer, "service_date", takes=("group",))
    def denials(self, claims: QuerySet[Any]) -> QuerySet[Any]:
        """Answer the claims with refusals nobody has dealt with, the oldest service first."""
        key = self.request.query_params.get("group", "")
        if key and key not in BY_KEY:
            raise ValidationError({"group": [f"One of: {', '.join(sorted(BY_KEY))}."]})
        return denials.worklist(claims, key=key)

    @extend_schema(responses=CountSerializer(many=True))
    @action(detail=False, methods=["get"], pagination_class=None, filter_backends=[])
    def denial_groups(self, request: Request) -> Response:
        """Answer how many claims each group of refusals has, how much money, and what to do next."""
        found = denials.counts(self.get_queryset())
        self.note(count=len(found))
        return Response(CountSerializer(found, many=True).data)

    @listing(FilingSerializer, "deadline")
    def filing_deadlines(self, claims: QuerySet[Any]) -> QuerySet[Any]:
        """Answer the claims no payer has accepted yet, those with the least time left first."""
        return timely_filing.running(claims, Clinic.today())

    @listing(UnansweredSerializer, "waits_since")
    def unanswered(self, claims: QuerySet[Any]) -> QuerySet[Any]:
        """Answer claims of which their partner has said nothing more in time, those that wait longest first."""
        return watching.unanswered(claims)

    @listing(ListedClaimSerializer, "created_at")
    def unbilled(self, claims: QuerySet[Any]) -> QuerySet[Any]:
        """Answer drafts that nobody has submitted for days, the oldest first."""
        return watching.unbilled(claims, timezone.now())

    @extend_schema(responses=ProofSerializer)
    @action(detail=True, methods=["get"], filter_backends=[])
    def filing_proof(self, request: Request, **_kwargs: Any) -> Response:
        """Answer a partner's first word that it has the claim, with the files both stand in."""
        row = self.get_object()
        found = timely_filing.proof(row)
        self.note(row)
        return Response(ProofSerializer(found).data)
