"""Registers the app `appointments`."""

from django.apps import AppConfig


class AppointmentsConfig(AppConfig):
    name = "backend.apps.appointments"
    label = "appointments"
    before_merge = "backend.apps.appointments.joining.lock"
    around_merge = "backend.apps.appointments.joining.joined"
    after_patient_change = "backend.apps.appointments.reminders.replan_patient"
