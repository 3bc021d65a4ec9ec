"""Sockets close when their session ends."""

from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from orders import live


@receiver(user_logged_out)
def close_sockets(sender: Any, request: HttpRequest, **kwargs: Any) -> None:
    """Sent before the session is flushed, so its key is still known."""
    if request.session.session_key:
        live.close_session(request.session.session_key)
