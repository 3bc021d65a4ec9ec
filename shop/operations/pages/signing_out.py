"""Who signs out, or in as somebody else, gives the pass to the operations page back."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase

from shop.operations.pages import passes

_MARK = "_gives_pass_back"


@receiver([user_logged_out, user_logged_in])
def note(sender: Any, request: HttpRequest, **kwargs: Any) -> None:
    """Sent before there is a response, which alone can take a cookie back."""
    setattr(request, _MARK, True)


class SigningOutMiddleware:
    """Takes the pass back with the response; the browser does not send it to the page where one signs out."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass on, and look whether the user has changed."""
        response = self._get_response(request)
        if hasattr(request, _MARK):
            passes.withdraw(response)
        return response
