"""The web entry point: granian loads `backend.config.asgi:application`."""

import gc
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")

application = get_asgi_application()
gc.collect()
gc.freeze()  # what is loaded stays: without this a full collection stops a request for about 100 ms
