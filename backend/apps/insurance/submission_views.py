"""The way of a claim out of the house: scrub, submit, withdraw, correct, void; and what earlier payers decided."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backend.apps.core.serializers import Form
from backend.apps.core.views import ClinicViewSet, ReadOnlyClinicViewSet, verb
from backend.apps.insurance import correcting, permissions, priors, scrubbing, services, submitting
from backend.apps.insurance.models import PriorAdjudication, Submission
from backend.apps.insurance.models.submissions import SubmissionStatus
from backend.apps.insurance.submission_serializers import (
    ClaimsForm,
    PriorAdjudicationSerializer,
    ScrubbedSerializer,
    SubmissionSerializer,
    SubmittedSerializer,
    scrubbed,
)


class SubmittedClaims(ClinicViewSet):
    """The part of the resource `insurance-claims` that gets claims ready and in line."""

    submit = verb(services.submit)
    withdraw = verb(submitting.withdraw)
    correct = verb(correcting.correct)
    void = verb(correcting.void)

    @extend_schema(request=Form, responses=ScrubbedSerializer)
    @action(detail=True, methods=["post"], filter_backends=[])
    def scrub(self, request: Request, **_kwargs: Any) -> Response:
        """Answer what the edits find in a claim, whatever its status; nothing changes."""
        row = self.get_object()
        Form(data=request.data).is_valid(raise_exception=True)
        found = scrubbing.scrub(row)
        self.note(row, findings=len(found))
        return Response(ScrubbedSerializer(scrubbed(row.pk, found)).data)

    @extend_schema(request=ClaimsForm, responses=ScrubbedSerializer(many=True))
    @action(detail=False, methods=["post"], url_path="scrub", pagination_class=None, filter_backends=[])
    def scrub_each(self, request: Request) -> Response:
        """Answer what the edits find in many claims."""
        claims = self._claims(request)
        found = scrubbing.scrub_each([claim.pk for claim in claims])
        self.note(count=len(claims), ids=[str(claim.pk) for claim in claims])
        told = [scrubbed(claim.pk, found.get(str(claim.pk), [])) for claim in claims]
        return Response(ScrubbedSerializer(told, many=True).data)

    @extend_schema(request=ClaimsForm, responses=SubmittedSerializer(many=True))
    @action(detail=False, methods=["post"], url_path="submit", pagination_class=None, filter_backends=[])
    def submit_each(self, request: Request) -> Response:
        """Submit many claims, each for itself; answers what became of each."""
        with transaction.atomic():
            told = submitting.submit_each(self._claims(request), by=request.user)  # type: ignore[arg-type]  # somebody
            self.note(count=len(told), ids=[str(one.id) for one in told if one.outcome != "refused"])
        return Response(SubmittedSerializer(told, many=True).data)

    def _claims(self, request: Request) -> list[Any]:
        form = ClaimsForm(data=request.data, context=self.get_serializer_context())
        form.is_valid(raise_exception=True)
        return form.validated_data["claims"]


class SubmissionFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=SubmissionStatus.choices)

    class Meta:
        model = Submission
        fields: ClassVar[dict[str, list[str]]] = {
            "claim": ["exact"],
            "interchange": ["exact"],
            "claim_control_number": ["exact"],
            "batch_reference": ["exact"],
            "created_at": ["gte", "lt"],
        }


class SubmissionViewSet(ReadOnlyClinicViewSet):
    """Each try to bring a claim to its payer; claims' own verbs make and end them."""

    queryset = Submission.objects.select_related("claim")
    serializer_class = SubmissionSerializer
    permissions = permissions.SUBMISSION
    filterset_class = SubmissionFilter


class PriorAdjudicationViewSet(ClinicViewSet):
    queryset = PriorAdjudication.objects.select_related("claim__patient_insurance").prefetch_related("lines")
    serializer_class = PriorAdjudicationSerializer
    permissions = permissions.PRIOR_ADJUDICATION
    filterset_fields: ClassVar[dict[str, list[str]]] = {"claim": ["exact"], "coverage": ["exact"]}
    ordering_fields: ClassVar[tuple[str, ...]] = ("id",)
    ordering = ("-id",)  # the order in which they were made
    creates = priors.record_prior
    updates = priors.change_prior

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with transaction.atomic():
            row = self._locked()
            priors.remove_prior(row, by=request.user)  # type: ignore[arg-type]  # somebody: no stranger may write
            self.note(row)
        return Response(status=status.HTTP_204_NO_CONTENT)
