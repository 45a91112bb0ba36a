"""The connection to PostgreSQL, as the settings make it."""

import pytest
from django.db import connection

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("application_name", "inference-autotuner"),
        ("lock_timeout", "20s"),
        ("idle_in_transaction_session_timeout", "20s"),
        ("default_transaction_isolation", "read committed"),
    ],
)
def test_each_connection_has_our_options(name: str, value: str) -> None:
    assert connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute("select current_setting(%s)", [name])
        assert cursor.fetchone() == (value,)
