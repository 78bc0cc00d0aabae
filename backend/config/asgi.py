"""The web entry point: granian loads `backend.config.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

from backend.apps.core import dispatch
from backend.config import memory, production

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")

application = get_asgi_application()
production.insist("web")
dispatch.prepare()
memory.settle()
