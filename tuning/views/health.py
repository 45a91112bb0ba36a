"""For programs that watch this one: is everything there?"""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from tuning.overview.health import health
from tuning.queue import QUEUE_ERRORS, waiting


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when experiments can run, 503 when not; says nothing that only users may know."""
    found = health(waiting, QUEUE_ERRORS)
    return JsonResponse(found.as_json(), status=200 if found.is_ok else 503)
