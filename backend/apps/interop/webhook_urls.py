"""Addresses that providers call, exactly as they are given to them: a redirect would break their signature."""

from django.urls import path

from backend.apps.interop import sendgrid_webhooks, twilio_webhooks

urlpatterns = [
    path("twilio/status", twilio_webhooks.status),
    path("twilio/inbound", twilio_webhooks.inbound),
    path("sendgrid/events", sendgrid_webhooks.events),
]
