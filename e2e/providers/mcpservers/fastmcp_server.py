"""A server of FastMCP with its own resource server helpers."""
import os

from fastmcp import FastMCP
from fastmcp.server.auth import RemoteAuthProvider
from fastmcp.server.auth.providers.jwt import JWTVerifier
from pydantic import AnyHttpUrl

port = int(os.environ["PORT"])
issuer = os.environ["ISSUER"]
base = f"http://localhost:{port}"
verifier = JWTVerifier(jwks_uri=issuer + "/.well-known/jwks.json", issuer=issuer, audience=base + "/mcp")
auth = RemoteAuthProvider(token_verifier=verifier, authorization_servers=[AnyHttpUrl(issuer)], base_url=base)
mcp = FastMCP("fastmcp", auth=auth)


@mcp.tool
def whoami() -> str:
    """Who called."""
    return "a user"


if __name__ == "__main__":
    mcp.run(transport="http", host="localhost", port=port)
