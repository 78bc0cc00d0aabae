"""The resources `appointments` and `appointment-reminders`."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, date, datetime, time, timedelta
from typing import ClassVar

import django_filters
from django.db.models import QuerySet

from backend.apps.appointments import missed, permissions, reminder_actions, services
from backend.apps.appointments.models import Appointment, AppointmentReminder, AppointmentStatus, ReminderStatus
from backend.apps.appointments.serializers import (
    AppointmentReminderSerializer,
    AppointmentSerializer,
    CameForm,
    CancelForm,
    MuteForm,
    RescheduleForm,
)
from backend.apps.core.models import Clinic
from backend.apps.core.views import ClinicViewSet, verb


class AppointmentFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=AppointmentStatus.choices)
    on = django_filters.DateFilter(method="on_day", label="The day it begins, by the clinic's calendar.")

    class Meta:
        model = Appointment
        fields: ClassVar[dict[str, list[str]]] = {
            "appointment_datetime": ["gte", "lt"],
            "doctor": ["exact"],
            "patient": ["exact"],
            "appointment_type": ["exact"],
            "location": ["exact"],
            "rescheduled_from": ["exact"],
            "updated_at": ["gte", "lt"],
        }

    def on_day(self, rows: QuerySet[Appointment], name: str, day: date) -> QuerySet[Appointment]:
        if not MINYEAR < day.year < MAXYEAR:  # the last day of time has no next one
            return rows.none()
        begins = datetime.combine(day, time(), Clinic.current().zone)
        return rows.filter(appointment_datetime__gte=begins, appointment_datetime__lt=begins + timedelta(days=1))


class AppointmentViewSet(ClinicViewSet):
    queryset = Appointment.objects.select_related("patient", "doctor__user")
    serializer_class = AppointmentSerializer
    permissions = permissions.APPOINTMENT
    filterset_class = AppointmentFilter
    ordering_fields = ("appointment_datetime", "created_at", "updated_at")
    ordering = ("appointment_datetime",)
    creates = services.book
    updates = services.change
    confirm = verb(services.confirm)
    check_in = verb(services.check_in)
    start = verb(services.start)
    complete = verb(services.complete)
    cancel = verb(services.cancel, takes=CancelForm)
    mark_no_show = verb(services.mark_no_show)
    came_after_all = verb(missed.came_after_all, takes=CameForm)
    reschedule = verb(services.reschedule, takes=RescheduleForm)


class AppointmentReminderFilter(django_filters.FilterSet):
    status = django_filters.MultipleChoiceFilter(choices=ReminderStatus.choices)

    class Meta:
        model = AppointmentReminder
        fields: ClassVar[dict[str, list[str]]] = {
            "appointment": ["exact"],
            "appointment__patient": ["exact"],
            "reminder_type": ["exact"],
            "work_state": ["exact"],
            "external_id": ["exact"],
            "scheduled_send_time": ["gte", "lt"],
        }


class AppointmentReminderViewSet(ClinicViewSet):
    queryset = AppointmentReminder.objects.select_related("appointment")
    serializer_class = AppointmentReminderSerializer
    permissions = permissions.REMINDER
    filterset_class = AppointmentReminderFilter
    ordering_fields = ("scheduled_send_time", "created_at")
    ordering = ("-scheduled_send_time",)
    send_now = verb(reminder_actions.send_now)
    mute = verb(reminder_actions.mute, takes=MuteForm)
