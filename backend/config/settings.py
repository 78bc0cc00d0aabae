"""The one settings module: everything that differs between machines is read from the environment."""

import os
from datetime import timedelta
from pathlib import Path

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.config import logs
from backend.config.environment import (
    addresses,
    bounded,
    days,
    key_ring,
    mailboxes,
    minutes,
    one_of,
    provider_at,
    proxies,
    public_keys,
    secret,
    signing_key,
)
from backend.config.links import redis_tls

BASE_DIR = Path(__file__).resolve().parent.parent.parent


ENV = os.environ.get("CARERELAY_ENV", "development")
if ENV not in {"development", "test", "production"}:
    raise ImproperlyConfigured("CARERELAY_ENV is one of development, test, production.")
IN_PRODUCTION = ENV == "production"
DEBUG = False
DATA_DIR = Path(os.environ.get("CARERELAY_DATA_DIR", BASE_DIR / ".carerelay"))

_insecure = None if IN_PRODUCTION else "development-only-" + "0" * 40
DEADMAN = addresses(secret("CARERELAY_DEADMAN", ""))  # told after each good run of their entry
ON_CALL = mailboxes(os.environ.get("CARERELAY_ON_CALL", ""))  # told of alerts
METRICS_TOKEN = secret("CARERELAY_METRICS_TOKEN", "")  # who has it reads /metrics; empty: who is on this machine
SECRET_KEY = secret("CARERELAY_SECRET_KEY", _insecure)
SECRET_KEY_FALLBACKS = secret("CARERELAY_SECRET_KEYS_OLD", "").splitlines()  # still read what they signed or sealed
JWT_SIGNING_KEY = secret("CARERELAY_JWT_KEY", _insecure and "jwt-" + _insecure)
if SECRET_KEY == JWT_SIGNING_KEY:
    raise ImproperlyConfigured("CARERELAY_JWT_KEY must differ from CARERELAY_SECRET_KEY.")
FIELD_KEYS = key_ring("CARERELAY_FIELD_KEYS", None if IN_PRODUCTION else SECRET_KEY)  # of sealed columns
INDEX_KEYS = key_ring("CARERELAY_INDEX_KEYS", None if IN_PRODUCTION else SECRET_KEY)  # of blind indexes
if {key for _, key in FIELD_KEYS} & {key for _, key in INDEX_KEYS}:
    raise ImproperlyConfigured("CARERELAY_INDEX_KEYS must differ from CARERELAY_FIELD_KEYS.")
AUDIT_KEY = signing_key("CARERELAY_AUDIT_KEY", _insecure and "A" * 43 + "=")  # signs the seals
AUDIT_KEYS_OLD = public_keys("CARERELAY_AUDIT_KEYS_OLD")
AUDIT_ANCHOR = os.environ.get("CARERELAY_AUDIT_ANCHOR") or f"file:{DATA_DIR / 'audit' / 'anchors.log'}"
AUDIT_ARCHIVE = Path(os.environ.get("CARERELAY_AUDIT_ARCHIVE") or DATA_DIR / "audit")  # files of months taken off
AUDIT_LEAST_DAYS = days("CARERELAY_AUDIT_LEAST_DAYS", 2192, least=2192 if IN_PRODUCTION else 0)  # 45 CFR 164.316(b)(2)
PUBLIC_BASE_URL = os.environ.get("CARERELAY_PUBLIC_BASE_URL", "http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = os.environ.get("CARERELAY_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1],testserver").split(",")
CSRF_TRUSTED_ORIGINS = [PUBLIC_BASE_URL]
TRUSTED_PROXIES = proxies(os.environ.get("CARERELAY_TRUSTED_PROXIES", ""))  # whose X-Forwarded-For is believed

CLINIC_APPS = [
    "core", "users", "patients", "doctors", "credentials", "messaging", "appointments", "clinical_notes", "laboratory",
    "employees", "prescriptions", "insurance", "interop",
]  # fmt: skip
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "backend.apps.core.apps.ClinicAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",  # Swagger UI from our own server, not from a CDN
    *(f"backend.apps.{name}" for name in CLINIC_APPS),
    "backend.demo",
]
MIDDLEWARE = [
    "backend.apps.core.headers.Guarded",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "backend.apps.core.middleware.RequestId",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "backend.apps.users.cookies.SessionBoundCookie",
    "django.contrib.messages.middleware.MessageMiddleware",
]
if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
    MIDDLEWARE.insert(0, "backend.apps.core.middleware.Traced")
CSRF_FAILURE_VIEW = "backend.apps.core.forgeries.refused"
ROOT_URLCONF = "backend.config.urls"
ASGI_APPLICATION = "backend.config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# A web process keeps a pool, because under ASGI each request has its own thread. Workers keep one connection (below).
APP_DATABASE_URL = secret("DATABASE_URL", "postgresql://127.0.0.1:5432/carerelay")
DATABASE_OWNER_URL = secret("DATABASE_OWNER_URL", "")  # of who owns the tables; empty: DATABASE_URL's user does
_as_owner = os.environ.get("CARERELAY_AS_OWNER") == "1"  # set by manage.py for what changes tables
DATABASES = {"default": dj_database_url.parse((_as_owner and DATABASE_OWNER_URL) or APP_DATABASE_URL)}
DATABASES["default"]["OPTIONS"] = {
    **DATABASES["default"].get("OPTIONS", {}),
    "application_name": os.environ.get("CARERELAY_PROCESS", "carerelay"),
    "connect_timeout": 5,
    "prepare_threshold": 5,  # of `core.statements` only: Django's own cursors put the values into the text
}
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if os.environ.get("CARERELAY_PROCESS") == "web":
    DATABASES["default"]["OPTIONS"] = bounded(
        {**DATABASES["default"]["OPTIONS"], "pool": {"min_size": 1, "max_size": 16, "timeout": 10}},
        os.environ.get("CARERELAY_WEB_STATEMENT_TIMEOUT_S", "30"),  # a search of all there is would hold it for long
    )
else:
    DATABASES["default"]["CONN_MAX_AGE"] = None
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "users.User"
LOGIN_REDIRECT_URL = "/admin/"  # where a sign-in leads that names no place of ours
AUTHENTICATION_BACKENDS = ["backend.apps.users.backends.StaffPassword"]
PASSWORD_HASHERS = [
    "backend.apps.users.hashers.Argon2id",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "backend.apps.users.password_rules.LongestPasswordValidator"},
    {"NAME": "backend.apps.users.breached.BreachedPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

STAFF_MFA = one_of("CARERELAY_STAFF_MFA", "required" if IN_PRODUCTION else "optional", "required", "optional")
IDLE_MIN = minutes("CARERELAY_IDLE_MIN", "15")  # without a request; then a sign-in is over
BREACHED_PASSWORDS = os.environ.get("CARERELAY_BREACHED_PASSWORDS", "")  # sorted SHA-1 hashes; empty: a short list

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"  # rows hold moments; the clinic's own zone is in core.Clinic
USE_I18N, USE_TZ = True, True
STATIC_URL = "/static/"
STATIC_ROOT = Path(os.environ.get("CARERELAY_STATIC_ROOT", DATA_DIR / "static"))
WHITENOISE_USE_FINDERS = not IN_PRODUCTION
MEDIA_URL = "/media/"
MEDIA_ROOT = DATA_DIR / "media"

SESSION_COOKIE_HTTPONLY, SESSION_COOKIE_SAMESITE, CSRF_COOKIE_SAMESITE = (
    True,
    "Lax",
    "Lax",
)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_BASE_URL.startswith("https://")
SESSION_COOKIE_AGE = 12 * 3600  # seconds, as long as a sign-in lasts
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024  # bytes; the largest JSON body we read

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "backend.apps.users.authentication.SessionBoundJwt",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["backend.apps.core.permissions.RolePermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "backend.apps.core.parsers.StrictJSONParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_PAGINATION_CLASS": "backend.apps.core.pagination.KeysetPagination",
    "DEFAULT_FILTER_BACKENDS": [
        "backend.apps.core.filters.StrictFilterBackend",
        "backend.apps.core.filters.BoundedSearch",
        "backend.apps.core.filters.StrictOrdering",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "backend.apps.core.problems.handle",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SIMPLE_JWT = {
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "ALGORITHM": "HS256",
    "ISSUER": "carerelay",
    "AUDIENCE": "carerelay-api",
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=10),
    "REFRESH_TOKEN_LIFETIME": timedelta(hours=12),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "CareRelay",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],  # what we can do is told to who works here
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "ControlledSubstanceScheduleEnum": "backend.apps.prescriptions.models.medications.Schedule",
    },
}
UNFOLD = {
    "SITE_TITLE": "CareRelay",
    "SITE_HEADER": "CareRelay",
    "SIDEBAR": {"show_all_applications": True},
    "SCRIPTS": [lambda _: static("core/posted.js")],
    "ACCOUNT": {"navigation": [{"title": "Your sign-in", "link": "/account/"}]},
}

# --- FHIR. ---
FHIR_MRN_SYSTEM = os.environ.get("CARERELAY_FHIR_MRN_SYSTEM") or f"{PUBLIC_BASE_URL}/fhir/mrn"  # of our record numbers
EXPORT_FILE_ROWS = int(os.environ.get("CARERELAY_EXPORT_FILE_ROWS", "50000"))  # resources in a file at most
EXPORT_FILE_BYTES = int(os.environ.get("CARERELAY_EXPORT_FILE_BYTES", str(100 * 1024 * 1024)))  # of NDJSON
EXPORT_DAYS = int(os.environ.get("CARERELAY_EXPORT_DAYS", "7"))  # how long files are kept
EXPORTS_AT_ONCE = int(os.environ.get("CARERELAY_EXPORTS_AT_ONCE", "1"))  # for each client; then 429
EXPORT_SAMPLE = int(
    os.environ.get("CARERELAY_EXPORT_SAMPLE", "1000")
)  # one in so many rows is judged by fhir.resources
EXPORT_BUCKET = os.environ.get("CARERELAY_EXPORT_BUCKET", "")  # of S3; empty: files on our own disk
STORAGES = {
    "default": {"BACKEND": "backend.apps.core.documents.Cleaned"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "exports": {
        "BACKEND": "backend.apps.core.documents.Inside",
        "OPTIONS": {"location": DATA_DIR / "exports"},
    },
}
if EXPORT_BUCKET:
    STORAGES["exports"] = {
        "BACKEND": "backend.apps.interop.fhir.exports.bucket.Bucket",
        "OPTIONS": {
            "bucket_name": EXPORT_BUCKET,
            "endpoint_url": os.environ.get("CARERELAY_EXPORT_S3_ENDPOINT") or None,
            "access_key": secret("CARERELAY_EXPORT_S3_ACCESS_KEY", "") or None,
            "secret_key": secret("CARERELAY_EXPORT_S3_SECRET_KEY", "") or None,
            "region_name": os.environ.get("CARERELAY_EXPORT_S3_REGION") or None,
            "file_overwrite": True,
            "querystring_auth": True,
            "max_memory_size": 1024 * 1024,  # of a file that is read; the rest of it waits on disk
        },
    }

# --- Celery. Each line has its reason; the figures are in docs/operations.md. ---
REDIS_URL = secret("REDIS_URL", "redis://127.0.0.1:6379/0")
CACHES = {
    "default": {  # shared by all processes; holds counters under keyed digests, nothing a restart would miss
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "carerelay-cache",
        "OPTIONS": {  # a Redis that is away costs a request one second, not the client's own retries
            "socket_timeout": 1,
            "socket_connect_timeout": 1,
            "retry": Retry(NoBackoff(), 0),
        },
    }
}
CELERY_BROKER_URL = secret("CELERY_BROKER_URL", REDIS_URL)
CELERY_BROKER_USE_SSL = redis_tls(CELERY_BROKER_URL)  # what the URL says, for Flower, which does not read it there
CELERY_TASK_IGNORE_RESULT = True  # outcomes live in PostgreSQL; Redis keeps nothing
CELERY_RESULT_BACKEND = None
CELERY_TASK_SERIALIZER, CELERY_ACCEPT_CONTENT = "bell", ["bell"]  # `core.opaque`: names and ids, never free text
CELERY_TASK_ACKS_LATE = True  # a killed worker's bell rings again at once, not after the lease
CELERY_TASK_REJECT_ON_WORKER_LOST = True  # without it a killed child's message is acknowledged
CELERY_TASK_ACKS_ON_FAILURE_OR_TIMEOUT = True  # a failed batch is the sweep's, not the broker's
CELERY_TASK_SOFT_TIME_LIMIT, CELERY_TASK_TIME_LIMIT = (
    240,
    300,
)  # seconds; limit < lease 360 < visibility 900
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 900,  # seconds; longer than any lease, or a running batch is delivered twice
    "unacked_restore_interval": 10,  # look for lost deliveries every 10 s instead of every 100 s
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,  # a request that rings while Redis hangs waits 2 s at most
    "socket_keepalive": True,
    "health_check_interval": 10,  # a half-open link is found in about 20 s
    "retry_on_timeout": False,
}
CELERY_VISIBILITY_TIMEOUT = 900  # Celery takes the smallest of the places it may be set
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # survive any outage
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0.1,
    "interval_step": 0.1,
    "interval_max": 0.2,
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1  # fair between queues; costs nothing measurable
CELERY_WORKER_CONCURRENCY = int(os.environ.get("CARERELAY_WORKER_CONCURRENCY", "2"))
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False  # leases make a finished task harmless
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10.0  # with REMAP_SIGTERM=SIGQUIT: finish or put back within 10 s
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = False  # saves ETA tasks, which we never use; an idle stop would wait 10 s
CELERY_WORKER_MAX_TASKS_PER_CHILD = 500  # backstop against leaks
CELERY_WORKER_SEND_TASK_EVENTS, CELERY_TASK_SEND_SENT_EVENT = True, False  # Flower sees batches, not bells
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_DB_REUSE_MAX = 1000  # Celery closes Django's connection around every task otherwise: 6.7 ms instead of 2.0 ms
CELERY_TIMEZONE = "UTC"

# --- Partners. Without credentials a local sandbox takes the message. ---
TWILIO_ACCOUNT_SID = os.environ.get("TWILIO_ACCOUNT_SID", "")
TWILIO_AUTH_TOKEN = secret("TWILIO_AUTH_TOKEN", "")
TWILIO_FROM = os.environ.get("TWILIO_FROM", "")
TWILIO_BASE_URL = provider_at("TWILIO_BASE_URL", in_production=IN_PRODUCTION)
SENDGRID_API_KEY = secret("SENDGRID_API_KEY", "")
SENDGRID_FROM = os.environ.get("SENDGRID_FROM", "")
SENDGRID_BASE_URL = provider_at("SENDGRID_BASE_URL", in_production=IN_PRODUCTION)
SENDGRID_WEBHOOK_KEYS = list(filter(None, secret("SENDGRID_WEBHOOK_KEYS", "").split(",")))  # public keys, base64
SENDGRID_ACTIVITY_FEED = os.environ.get("SENDGRID_ACTIVITY_FEED", "") == "1"  # a paid add-on; finds lost mails
SMTP_HOST = os.environ.get("SMTP_HOST", "")
SMTP_PORT = int(os.environ.get("SMTP_PORT", "587"))
SMTP_USER, SMTP_PASSWORD = os.environ.get("SMTP_USER", ""), secret("SMTP_PASSWORD", "")
SMTP_FROM = os.environ.get("SMTP_FROM", "")
SMTP_SECURITY = os.environ.get("SMTP_SECURITY", "starttls")  # starttls, tls or none
SMS_PER_SECOND = float(os.environ.get("CARERELAY_SMS_PER_SECOND", "1"))  # what our sender may: 1 for a US long code
EMAILS_PER_SECOND = float(os.environ.get("CARERELAY_EMAILS_PER_SECOND", "50"))
SEND_THREADS = int(os.environ.get("CARERELAY_SEND_THREADS", "16"))  # messages on their way at once, per process
WAITLIST_AT_ONCE = int(os.environ.get("CARERELAY_WAITLIST_AT_ONCE", "1"))  # patients who are offered one freed time
RECALLS_A_DAY = int(os.environ.get("CARERELAY_RECALLS_A_DAY", "5000"))  # so that a first run does not fill the lines
NO_SHOW_AFTER_MIN = int(os.environ.get("CARERELAY_NO_SHOW_AFTER_MIN", "60"))  # from the end of a visit on
REFILLS_WAIT_H = int(os.environ.get("CARERELAY_REFILLS_WAIT_H", "24"))  # then the prescriber's requests are told of
UNCERTAIN_AFTER_S = float(os.environ.get("CARERELAY_UNCERTAIN_AFTER_S", "600"))  # then a lost send counts as not made
LAB_ORDERS_TIMEOUT_S = float(os.environ.get("CARERELAY_LAB_ORDERS_TIMEOUT_S", "30"))
LAB_ORDERS_CA = os.environ.get("CARERELAY_LAB_ORDERS_CA", "")  # empty: the system's certificate authorities
LAB_ORDERS_CERTIFICATE = os.environ.get("CARERELAY_LAB_ORDERS_CERTIFICATE", "")  # ours, for laboratories that ask
LAB_ORDERS_KEY = os.environ.get("CARERELAY_LAB_ORDERS_KEY", "")
PARTNER_SECRETS = Path(os.environ.get("CARERELAY_PARTNER_SECRETS", DATA_DIR / "partner-secrets"))  # a file for each
PARTNER_FOLDERS = Path(os.environ.get("CARERELAY_PARTNER_FOLDERS", DATA_DIR / "partners"))  # of those without a server
CLAIMS_LOOK_AGAIN_S = float(os.environ.get("CARERELAY_CLAIMS_LOOK_AGAIN_S", "5"))  # between two looks at a folder
SMS_TRANSPORT = os.environ.get("CARERELAY_SMS", "twilio" if TWILIO_ACCOUNT_SID else "sandbox")
# Whoever signs with one of these is believed to be the provider of texts: ours and the one before it, or the sandbox's.
_signers = ("TWILIO_AUTH_TOKEN", "TWILIO_OLD_AUTH_TOKEN") if SMS_TRANSPORT == "twilio" else ("CARERELAY_SANDBOX_TOKEN",)
SANDBOX_ACCOUNT = "sandbox" if SMS_TRANSPORT == "sandbox" else ""
TWILIO_TOKENS = list(filter(None, (secret(name, "") for name in _signers)))
EMAIL_TRANSPORT = os.environ.get(
    "CARERELAY_EMAIL", "sendgrid" if SENDGRID_API_KEY else "smtp" if SMTP_HOST else "sandbox"
)

if logs.wanted() not in logs.FORMATS:
    raise ImproperlyConfigured("CARERELAY_LOG_FORMAT is one of json, line.")
LOG_LEVEL = os.environ.get("CARERELAY_LOG_LEVEL", "INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"chosen": {"()": "backend.config.logs.chosen"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "chosen"}},
    "root": {
        "handlers": ["console"],
        "level": LOG_LEVEL,
    },
    "loggers": {
        "twilio.http_client": {"level": "WARNING"},  # at INFO it logs phone numbers in URLs
        "python_http_client": {"level": "WARNING"},  # at DEBUG it logs bodies and keys
        "django.request": {"level": "ERROR"},
        "django.server": {
            "handlers": ["console"],
            "propagate": False,
        },  # Django's own handler would not clean the lines
    },
}
