"""The addresses of the pages."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path, register_converter
from django.urls.converters import IntConverter

from tuning.views import dashboard


class NumberConverter(IntConverter):
    """The id of a row or the number of an experiment: no larger than a database can keep."""

    regex = "[1-9][0-9]{0,8}"


register_converter(NumberConverter, "pk")

sign_in = LoginView.as_view(template_name="access/sign_in.html", redirect_authenticated_user=True)

urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
    path("now", dashboard.dashboard_now, name="dashboard-now"),
    path("sign-in", sign_in, name="sign-in"),
    path("sign-out", LogoutView.as_view(), name="sign-out"),
]
