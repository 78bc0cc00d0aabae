"""What a system reads before it signs in, below /fhir/R4/; the token endpoint stands beside it, at /fhir/token."""

from django.urls import path

from backend.apps.interop.fhir.smart import views

urlpatterns = [
    path(".well-known/smart-configuration", views.smart_configuration, name="smart-configuration"),
]
