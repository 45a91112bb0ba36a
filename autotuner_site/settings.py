"""Settings; docs/configuration.md lists the environment variables that they read."""

import os
from datetime import timedelta
from pathlib import Path

from autotuner_site import environment, services

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = environment.data_dir()

SECRET_KEY = environment.secret_key(DATA_DIR)
DEBUG = environment.flag("AUTOTUNER_DEBUG")
ALLOWED_HOSTS = environment.words("AUTOTUNER_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "axes",
    "tuning",
]

MIDDLEWARE = [
    # The first sees every answer, also those that the others give themselves.
    "autotuner_site.middleware.ContentSecurityPolicy",
    "django.middleware.security.SecurityMiddleware",
    "autotuner_site.compression.CompressedStatic",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # It adds a random length to each answer, and CSRF tokens are masked: the length of a page tells no secret (BREACH).
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "autotuner_site.middleware.SignInRequired",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "autotuner_site.urls"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "sign-in"
WSGI_APPLICATION = "autotuner_site.wsgi.application"

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
                "tuning.context.frame",
            ],
        },
    },
]

DATABASES = {"default": services.database(DATA_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_RESET_TIMEOUT = 3600  # of links that sign in

# Whoever guesses passwords is held up; somebody else who knows only a name locks nobody out.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "autotuner_site.middleware.client_address"
AXES_LOCKOUT_CALLABLE = "tuning.views.access.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True  # it would grow for ever
AXES_VERBOSE = False

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Static files are served from where they lie in the packages: nothing has to be collected or kept up to date.
WHITENOISE_USE_FINDERS = True

# Behind TLS everything that only makes sense there is on; on loopback it would lock people out.
TLS = environment.flag("AUTOTUNER_TLS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = TLS
SECURE_HSTS_SECONDS = 365 * 86_400 if TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # probes of this machine speak no TLS
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_AGE = int(3600 * environment.number("AUTOTUNER_SESSION_HOURS", 24, least=0.1, most=8760))
CSRF_FAILURE_VIEW = "tuning.views.errors.refused_form"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {"links": {"()": "autotuner_site.logs.WithoutLinks"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["links"]}},
    "loggers": {"axes": {"level": "ERROR"}},  # a line for each failure; a lock is told by our own
    "root": {
        "handlers": ["console"],
        "level": environment.choice(
            "AUTOTUNER_LOG_LEVEL", "WARNING", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        ),
    },
}

# How long a worker's work counts as its own after its last sign of life; equal for all workers of one database.
AUTOTUNER_LEASE_S = environment.number("AUTOTUNER_LEASE_S", 30, least=1, most=3600)
# Experiments that run at once on a machine without GPUs; with GPUs each of them is one slot.
AUTOTUNER_SLOTS = int(environment.number("AUTOTUNER_SLOTS", 1, least=1, most=1024))
# Which GPUs may be used: numbers in PCI order or UUIDs; "all" is what NVML finds, "none" leaves them alone.
AUTOTUNER_GPUS = environment.words("AUTOTUNER_GPUS", "all")
AUTOTUNER_LOG_RETENTION_DAYS = environment.number("AUTOTUNER_LOG_RETENTION_DAYS", 90, least=0, most=36500)

# How old a part of a page may be that was made for another tab; less than the shortest interval of polling.
LIVE_SHARED_S = 1.0

HUEY = services.queue(DATA_DIR)

CACHE_DIR = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inference-autotuner"

AUTOTUNER_GENAI_BENCH = os.environ.get("AUTOTUNER_GENAI_BENCH") or str(
    CACHE_DIR / "genai-bench-0.0.5" / "bin" / "genai-bench"
)
