"""Django settings.  Everything that differs between installations comes from the environment.

``BAILEY_SURFACE`` says what this process is and so which database login and URL tree it gets:
``console``, ``portal``, ``ingest``, ``worker`` or ``owner`` (migrations and commands).
The variables are described in docs/install.md.
"""

import os
from pathlib import Path

from console import environment as env

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.text("BAILEY_VAR", str(BASE_DIR / "var")))
env.load_running_installation(VAR_DIR)

SURFACE = env.choice(
    "BAILEY_SURFACE", ("owner", "console", "portal", "ingest", "worker"), default="owner"
)
_LOGIN = {
    "owner": "DATABASE_URL",
    "console": "DATABASE_URL_CONSOLE",
    "portal": "DATABASE_URL_PORTAL",
    "ingest": "DATABASE_URL_WORKER",
    "worker": "DATABASE_URL_WORKER",
}[SURFACE]

DEBUG = env.flag("BAILEY_DEBUG", default=False)
SECRET_KEY = env.text("SECRET_KEY", wanted="50 or more random characters")
MASTER_KEY = env.secret_bytes("BAILEY_MASTER_KEY")
ALLOWED_HOSTS = env.text("BAILEY_HOSTS", "127.0.0.1,localhost").split(",")
CONSOLE_URL = env.url("BAILEY_CONSOLE_URL", "http://127.0.0.1:8000", schemes=("http", "https"))
PORTAL_URL = env.url("BAILEY_PORTAL_URL", "http://127.0.0.1:8001", schemes=("http", "https"))
INGEST_URL = env.url("BAILEY_INGEST_URL", "http://127.0.0.1:8002", schemes=("http", "https"))
# Where clients submit their outbound mail, as their people are told: with STARTTLS, with TLS.
SUBMISSION_AT = env.optional_text("BAILEY_SUBMISSION_AT")
SUBMISSIONS_AT = env.optional_text("BAILEY_SUBMISSIONS_AT")
CSRF_TRUSTED_ORIGINS = [CONSOLE_URL, PORTAL_URL]

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "template_partials",
    "rest_framework",
    "drf_spectacular",
    "tenants",
    "incidents",
    "seg_bridge",
    "api_bridge",
    "console",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "console.lib.body.BodyLimitMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "console.lib.language.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "tenants.middleware.ScopeMiddleware",
    "console.lib.errors.DomainErrorMiddleware",
]
if SURFACE == "ingest":
    MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]

ROOT_URLCONF = {
    "portal": "console.urls_portal",
    "ingest": "console.urls_ingest",
}.get(SURFACE, "console.urls")
ASGI_APPLICATION = "console.asgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "console.context.page",
            ],
        },
    }
]

DATABASES = {"default": env.database(_LOGIN)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.url("REDIS_URL", "redis://127.0.0.1:6379", schemes=("redis", "rediss"))
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "bailey",
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # redis-py 8 gives up after 5 s, as long as the layer blocks: idle sockets would die.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 30}]},
    }
}

AUTH_USER_MODEL = "tenants.Person"
AUTHENTICATION_BACKENDS = ["tenants.auth.PersonBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
SESSION_ENGINE = "tenants.sessions"
SESSION_COOKIE_NAME = f"bailey_{'portal' if SURFACE == 'portal' else 'console'}"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CONSOLE_URL.startswith("https")
CSRF_COOKIE_NAME = SESSION_COOKIE_NAME + "_csrf"
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "SAMEORIGIN"
if CONSOLE_URL.startswith("https"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "frame-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'"],
        "base-uri": ["'none'"],
    }
}

LANGUAGE_CODE = "en"
# Those that the portal, digests and notices are written in; catalogues in console/locale.
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("fr", "Français")]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "console" / "static"]
STATIC_ROOT = VAR_DIR / "static"
WHITENOISE_USE_FINDERS = True

EVIDENCE_DIR = VAR_DIR / "evidence"
# Files that people send stay in memory until they are sealed; console/lib/body.py bounds them.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024

# So long after a release it is looked at whether the mail is still there.
RELEASE_LOOK_AFTER_S = env.number("BAILEY_RELEASE_LOOK_AFTER_S", 300, least=1, most=86_400)

# Mail that Bailey itself sends (digests, notices).  Without a server it is written to files.
EMAIL = env.mail_server("BAILEY_SMTP_URL")
EMAIL_FILE_PATH = str(VAR_DIR / "outgoing")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL else 'filebased'}.EmailBackend"
EMAIL_HOST, EMAIL_PORT = EMAIL.get("host", ""), EMAIL.get("port", 25)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = EMAIL.get("user", ""), EMAIL.get("password", "")
EMAIL_USE_SSL, EMAIL_USE_TLS = EMAIL.get("ssl", False), EMAIL.get("starttls", False)
EMAIL_TIMEOUT = 30
DEFAULT_FROM_EMAIL = os.environ.get("BAILEY_MAIL_FROM") or "bailey@localhost"

# Where connectors may go besides Microsoft's own hosts: "host:port" of a cloud of the operator's.
OUTGOING_HOSTS = [host for host in os.environ.get("BAILEY_OUTGOING_HOSTS", "").split(",") if host]
# A cloud that speaks as Microsoft's do, for app registrations (api_bridge/access/clouds.py).
OTHER_CLOUD = env.other_cloud("BAILEY_OTHER_CLOUD")
# What is heard of a client's mailboxes within this time is looked at in one call (seconds).
SYNC_GATHER_S = 2.0
# Without push, how often the newest mail of a mailbox is looked for; with or without, how often
# everything since its cursor is listed (seconds).
SYNC_POLLED_S = 30.0
SYNC_WHOLE_S = 600.0
# Where push stands and nothing was found late, whole readings become rarer, up to this: so long a
# mail whose hint was lost can lie unseen.
SYNC_LONGEST_WHOLE_S = 7_200.0
# The same where the mail host's own record of delivered mail is held against what was seen, hourly.
SYNC_RECORDED_WHOLE_S = 43_200.0
# A history (Google) is held against the list of ids so often: five units for each mailbox.
SYNC_CHECKED_S = 21_600.0

# Connections that a worker process holds open to hear of new mail, where a mail host calls nobody.
IMAP_IDLE_AT_MOST = env.number("BAILEY_IMAP_IDLE", 200, least=0, most=10_000)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "console.api.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "console.api.pagination.TimeCursorPagination",
    "DEFAULT_SCHEMA_CLASS": "console.api.operation.Operation",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["console.api.parsers.BoundedJSONParser"],
    "EXCEPTION_HANDLER": "console.api.problems.problem_response",
    "PAGE_SIZE": 50,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Bailey",
    "DESCRIPTION": "Incidents over the gateway and the mailbox layer, for every client of an MSP.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "DEFAULT_GENERATOR_CLASS": "console.api.schema.OnceGenerator",
    "SERVE_AUTHENTICATION": [],  # it tells nothing of any client, with whatever token
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "celery": {"level": "INFO"},
        # Each ring, several a second: what fails is an error and is told.
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}
