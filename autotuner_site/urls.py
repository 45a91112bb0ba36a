"""Where each address leads, and what is answered where none does."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("", include("tuning.urls"))]

handler400 = "tuning.views.errors.bad_request"
handler403 = "tuning.views.errors.permission_denied"
handler404 = "tuning.views.errors.not_found"
handler500 = "tuning.views.errors.server_error"
