"""The admin every model registers with: the API's role tables and object rules, every look and change audited."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import IntegrityError, OperationalError, models, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from psycopg.errors import QueryCanceled
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from backend.apps.core import admin_search, audit, closed_values, field_rules, on_call, scope, sealed
from backend.apps.core.exceptions import DomainError
from backend.apps.core.keyring import CannotOpen
from backend.apps.core.models import Alert, AuditLog, Clinic
from backend.apps.core.permissions import ALERT, ALL_ROLES, READ, WRITE, Table, allow, may
from backend.apps.core.problems import AT_ONCE, CROSSED, TOO_LONG

REFUSALS = (DomainError, ValidationError, IntegrityError)


def sentence(refusal: Exception) -> str:
    """Return what to tell the person; a database's own words name tables and values, so they are not repeated."""
    if isinstance(refusal.__cause__, CROSSED):
        return AT_ONCE
    if isinstance(refusal.__cause__, QueryCanceled):
        return TOO_LONG
    if isinstance(refusal, ValidationError):
        return " ".join(refusal.messages)
    return str(refusal) if isinstance(refusal, DomainError) else "This contradicts what is already stored."


class ClinicAdmin(ModelAdmin):
    """Subclasses set `permissions` to their resource's table, and `creates` / `updates` where services hold rules."""

    permissions: ClassVar[Table] = {}
    creates: ClassVar[Callable[..., Any] | None] = None
    updates: ClassVar[Callable[..., Any] | None] = None
    change_list_template: Any = "core/list.html"
    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 200
    actions: Sequence[Any] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return scope.visible(super().get_queryset(request), request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, "list", self.permissions)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may(request.user, "create", self.permissions)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, "partial_update", self.permissions)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, "destroy", self.permissions)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the form's parts without the fields this person does not see whole."""
        parts = super().get_fieldsets(request, obj)
        return [(name, {**options, "fields": self._seen(request, options["fields"], obj)}) for name, options in parts]

    def _seen(self, request: HttpRequest, names: Iterable[Any], obj: Any = None) -> list[Any]:
        hides, seen = field_rules.hidden(self.model, request.user, obj), field_rules.only(self.model, request.user)
        return [name for name in names if name not in hides and (seen is None or name in seen)]

    def get_list_display(self, request: HttpRequest) -> Any:
        return self._unless_oracle(request, super().get_list_display(request))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return admin_search.SearchedList

    def get_list_filter(self, request: HttpRequest) -> Any:
        return self._unless_oracle(request, super().get_list_filter(request))

    def get_search_fields(self, request: HttpRequest) -> Any:
        return self._unless_oracle(request, super().get_search_fields(request))

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Refuse to cut the list by what this person does not see whole; Django lets an address name any own field."""
        return not field_rules.is_oracle(self.model, lookup, request.user) and super().lookup_allowed(
            lookup, value, request
        )

    def _unless_oracle(self, request: HttpRequest, names: Iterable[Any]) -> list[Any]:
        return [
            name
            for name in names
            if not (isinstance(name, str) and field_rules.is_oracle(self.model, name, request.user))
        ]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the row of a page (form, history, question before deletion), and audit that it was looked at."""
        row = super().get_object(request, object_id, from_field)
        if request.method == "GET" and (row is None or self.has_view_or_change_permission(request, row)):
            outcome = AuditLog.Outcome.REFUSED if row is None else AuditLog.Outcome.ALLOWED
            self._note(request, "admin.retrieve", object_id, row=row, outcome=outcome)
        return row

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, or do what was chosen for several rows: to all of them or, with a sentence why, to none."""
        if admin_search.is_typed(request) and self.has_view_or_change_permission(request):
            return admin_search.begin(request, self.model)
        act = partial(super().changelist_view, request, extra_context)
        try:
            response = act() if request.method == "GET" else self._refused(request, "admin.action", "", act)
        except admin_search.Over:
            return admin_search.end(request)
        shown = getattr(response, "context_data", None) or {}
        if request.method != "GET" and not shown:
            return response  # what was done has rows of its own in the log
        rows = shown["cl"].result_list if "cl" in shown else shown.get("queryset", ())  # the question before deletion
        closed_values.mark(rows, *(one.name for one in sealed.columns(self.model) if one.name in self.list_display))
        ids = [str(row.pk) for row in rows]
        self._note(
            request,
            "admin.list",
            detail={
                "count": len(ids),
                "ids": ids,
                "filters": sorted(name.replace("\0", "")[:80] for name in request.GET),
                **audit.patients_of(rows),
            },
        )
        return response

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        act = partial(super().changeform_view, request, object_id, form_url, extra_context)
        try:
            return act() if request.method == "GET" else self._refused(request, "admin.save", object_id or "", act)
        except CannotOpen as closed:
            closed_values.tell(closed)
            messages.error(request, closed_values.refusal(closed))
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        act = partial(super().delete_view, request, object_id, extra_context)
        return act() if request.method == "GET" else self._refused(request, "admin.destroy", object_id, act)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete the chosen rows one by one, so that each asks its own rules."""
        for row in queryset:
            row.delete()

    def _refused(self, request: HttpRequest, action: str, pk: str, act: Callable[[], HttpResponse]) -> HttpResponse:
        """Return what `act` answers, or tell why it was refused: then nothing of it is done."""
        try:
            with transaction.atomic():
                return act()
        except (*REFUSALS, OperationalError) as refusal:
            if isinstance(refusal, OperationalError) and not isinstance(refusal.__cause__, CROSSED):
                raise
            messages.error(request, sentence(refusal))
            self._note(request, action, pk, outcome=AuditLog.Outcome.REFUSED)
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        service = type(self).updates if change else type(self).creates
        if service is None:
            super().save_model(request, obj, form, change)
            return
        if change:
            stored = type(obj)._base_manager.get(pk=obj.pk)
            row = service(
                stored,
                by=request.user,
                **{name: form.cleaned_data[name] for name in form.changed_data},
            )
        else:
            row = service(by=request.user, **form.cleaned_data)
        obj.pk = row.pk
        obj.refresh_from_db()

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write our audit row in place of Django's own log entry, as the two below."""
        return self._note(request, "admin.create", str(obj.pk), row=obj)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return self._note(request, "admin.update", str(obj.pk), row=obj)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return [self._note(request, "admin.destroy", str(row.pk), row=row) for row in queryset]

    def _note(
        self,
        request: HttpRequest,
        action: str,
        pk: str = "",
        row: models.Model | None = None,
        **more: Any,
    ) -> AuditLog:
        patient = audit.patient_of(row) if row is not None else None
        return audit.record(request, action, self.opts.model_name, pk, patient_id=patient, **more)


class ReadOnlyAdmin(ClinicAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Clinic)
class ClinicProfileAdmin(ClinicAdmin):
    permissions: ClassVar[Table] = {**allow(READ, *ALL_ROLES), **allow(WRITE)}
    list_display = ("name", "npi_number", "time_zone", "phone")
    search_fields = ("name",)


@admin.register(AuditLog)
class AuditLogAdmin(ReadOnlyAdmin):
    permissions: ClassVar[Table] = allow(READ)
    list_display = (
        "timestamp",
        "user",
        "action",
        "resource_type",
        "resource_id",
        "outcome",
        "ip_address",
    )
    list_filter = ("outcome", "resource_type")
    search_fields = ("resource_id", "request_id")
    list_select_related = ("user",)


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """Alerts are acknowledged and resolved through the API."""

    permissions = ALERT
    list_display = (
        "opened_at", "severity", "kind", "sentence", "times", "news_at", "looked_after", "acknowledged_at",
        "resolved_at",
    )  # fmt: skip
    list_filter = ("severity", "kind", "opened_at")
    search_fields = ("cause__exact", "subject_id__exact")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return on_call.marked(super().get_queryset(request))

    @admin.display(boolean=True)
    def looked_after(self, row: Any) -> bool:
        return bool(row.looked_after)
