"""What the Kubernetes API says when it refuses or fails, in one line."""

import json


def told_by(error: object) -> str:
    """The API's own message, or the error's.

    Example:
        >>> told_by(ValueError("no answer"))
        'no answer'
    """
    inner = getattr(error, "k8s_api_exception", None)
    if inner is not None:
        return told_by(inner)
    body = getattr(error, "body", None)
    if body:
        try:
            message = json.loads(body).get("message")
        except (ValueError, AttributeError, TypeError):
            message = None
        if message:
            return str(message)
    reason = getattr(error, "reason", None)  # urllib3 and the client hide the cause behind many words
    text = str(reason or error)
    return text.rpartition(">: ")[2].splitlines()[0] if text else type(error).__name__
