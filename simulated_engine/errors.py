"""Failures of the simulated engine.

EngineError
    ConfigError        refused before the engine starts (vLLM: a pydantic ValidationError)
    StartupError       the engine core fails while it starts
    EngineDeadError    the engine core dies while it serves
    ApiError           a request is refused; answered as an OpenAI error object
"""

from http import HTTPStatus


class EngineError(Exception):
    """Base of all failures here."""


class ConfigError(EngineError):
    """A configuration that vLLM refuses while it parses: ``owner`` is the configuration class that refuses."""

    def __init__(self, owner: str, message: str) -> None:
        super().__init__(message)
        self.owner = owner


class StartupError(EngineError):
    """The root cause of a failed start; ``exception`` is the class that the real engine raises."""

    def __init__(self, exception: str, message: str) -> None:
        super().__init__(message)
        self.exception = exception


class EngineDeadError(EngineError):
    """The root cause of a death under load; ``exception`` as in StartupError."""

    def __init__(self, exception: str, message: str) -> None:
        super().__init__(message)
        self.exception = exception


class ApiError(EngineError):
    """A request that is answered with an error object of the OpenAI API."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param

    def body(self) -> dict[str, object]:
        """The JSON body of the answer."""
        names = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError"}
        name = names.get(self.status, HTTPStatus(self.status).phrase.title().replace(" ", ""))
        return {"error": {"message": str(self), "type": name, "param": self.param, "code": self.status}}
