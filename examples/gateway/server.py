"""An MCP server of FastMCP behind the gateway. It knows nothing of OAuth.

pip install fastmcp "pyjwt[crypto]"
gatehouse dev --upstream http://localhost:8000/mcp -- python server.py
"""

import os

from fastmcp import FastMCP
from fastmcp.server.dependencies import get_http_headers

from assertion import caller

mcp = FastMCP("notes")


@mcp.tool
def whoami() -> str:
    """Says who calls."""
    return caller(get_http_headers())["sub"]


if __name__ == "__main__":
    mcp.run(transport="http", host="127.0.0.1", port=int(os.environ.get("PORT", "8000")), show_banner=False)
