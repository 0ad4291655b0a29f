# What the servers in Python have in common: who calls, as the gateway says, and the wait for the
# client. The settings are in the environment: GATEWAY is the origin of the gateway.
import asyncio
import os
import urllib.request

import jwt

gateway = os.environ["GATEWAY"]
keys = jwt.PyJWKClient(gateway + "/.well-known/gatehouse-jwks.json")

WAIT = 60  # seconds for a client to receive an event


def caller(headers):
    """Returns who calls, from the headers of a request, and prints it. The assertion is verified."""
    assertion = headers["x-gatehouse-assertion"]
    claims = jwt.decode(
        assertion,
        keys.get_signing_key_from_jwt(assertion),
        algorithms=["ES256"],
        issuer=gateway,
        audience=gateway + "/mcp",
        options={"require": ["exp", "iss", "aud", "sub"]},
    )
    user = headers.get("x-forwarded-user")
    print(f"called by {user}, asserted {claims['sub']}", flush=True)
    return {"user": user, "subject": claims["sub"], "token": headers.get("authorization", "")}


async def received(gate, event):
    """Waits until the client has received an event."""
    with await asyncio.to_thread(urllib.request.urlopen, f"{gate}?wait={event}", timeout=WAIT):
        pass


async def wait_for_cancellation():
    """Waits until the call is cancelled, and prints that."""
    try:
        await asyncio.sleep(WAIT)
    except asyncio.CancelledError:
        print("the call was cancelled", flush=True)
        raise
    return "not cancelled"
