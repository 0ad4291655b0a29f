"""Verifies the assertion of the gateway, which says who calls."""

import os
from urllib.parse import urljoin

import jwt  # pip install "pyjwt[crypto]"

endpoint = os.environ.get("MCP_URL", "http://localhost:3000/mcp")  # the public URL, as users type it into their client
gateway = urljoin(endpoint, "/").rstrip("/")
keys = jwt.PyJWKClient(gateway + "/.well-known/gatehouse-jwks.json")


def caller(headers: dict[str, str]) -> dict:
    """Returns the claims of the assertion in the headers, and raises an error if it is missing or not valid."""
    assertion = headers.get("x-gatehouse-assertion")
    if not assertion:
        raise PermissionError("the request has no assertion; call the server through the gateway")
    return jwt.decode(
        assertion,
        keys.get_signing_key_from_jwt(assertion),
        algorithms=["ES256"],
        issuer=gateway,
        audience=endpoint,
        options={"require": ["exp", "iss", "aud", "sub"]},
    )
