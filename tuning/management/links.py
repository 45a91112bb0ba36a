"""Links to the web interface that commands print."""

from urllib.parse import urljoin

from django.conf import settings
from django.contrib.auth.models import User

from tuning.runner.access import sign_in_path

ANY = "*"


def link(user: User, url: str) -> str:
    """What signs this user in once; `url` is where the web interface is, unless the proxy with TLS has another name."""
    host = settings.ALLOWED_HOSTS[0].lstrip(".") if settings.ALLOWED_HOSTS else ANY
    return urljoin(f"https://{host}/" if settings.TLS and host != ANY else url, sign_in_path(user))
