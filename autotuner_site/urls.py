"""Where each address leads, and what is answered where none does."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

# The admin names no icon, so browsers ask for this one.
icon = login_not_required(RedirectView.as_view(url=static("img/mark.svg")))

urlpatterns = [path("admin/", admin.site.urls), path("favicon.ico", icon), path("", include("tuning.urls"))]

handler400 = "tuning.views.errors.bad_request"
handler403 = "tuning.views.errors.permission_denied"
handler404 = "tuning.views.errors.not_found"
handler500 = "tuning.views.errors.server_error"
