"""Where the operators' pages are."""

from django.urls import path

from backend.apps.interop import console

app_name = "console"
urlpatterns = [
    path("", console.index, name="index"),
]
