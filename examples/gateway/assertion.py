"""Verifies the assertion of the gateway, which says who calls."""

import os

import jwt  # pip install "pyjwt[crypto]"

gateway = os.environ.get("GATEWAY", "http://localhost:3000")
keys = jwt.PyJWKClient(gateway + "/.well-known/gatehouse-jwks.json")


def caller(assertion: str) -> dict:
    """Returns the claims of an assertion, and raises jwt.InvalidTokenError if it is not valid."""
    return jwt.decode(
        assertion,
        keys.get_signing_key_from_jwt(assertion),
        algorithms=["ES256"],
        issuer=gateway,
        audience=gateway + "/mcp",  # the public URL of the endpoint
        options={"require": ["exp", "iss", "aud", "sub"]},
    )
