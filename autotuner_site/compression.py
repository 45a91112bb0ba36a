"""Static files on their way to a browser, compressed."""

import gzip
import re
from collections.abc import Callable

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

COMPRESSIBLE = re.compile(r"text/|image/svg|application/(javascript|json)")
ACCEPTS = re.compile(r"\bgzip\b")


class CompressedStatic:
    """Sends static files compressed, each of them compressed once in the life of a process.

    WhiteNoise compresses in a step that collects all files in one folder, and there is no such step here.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._kept: dict[tuple[str, str], bytes] = {}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if not isinstance(response, FileResponse) or not request.path_info.startswith(settings.STATIC_URL):
            return response
        if response.status_code != 200 or not COMPRESSIBLE.match(response.get("Content-Type", "")):
            return response
        patch_vary_headers(response, ("Accept-Encoding",))
        if request.method != "GET" or not ACCEPTS.search(request.headers.get("Accept-Encoding", "")):
            return response
        key = request.path_info, response.get("ETag", "")
        if key not in self._kept:
            self._kept[key] = gzip.compress(b"".join(response), mtime=0)
        if response.file_to_stream:
            response.file_to_stream.close()
        answer = HttpResponse(self._kept[key], headers=dict(response.items()))
        answer["Content-Encoding"] = "gzip"
        answer["Content-Length"] = str(len(self._kept[key]))
        return answer
