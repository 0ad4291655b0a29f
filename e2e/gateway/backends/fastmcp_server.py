# An MCP server of FastMCP, which knows nothing of OAuth.
import os

from caller import caller, received, wait_for_cancellation
from fastmcp import Context, FastMCP
from fastmcp.server.dependencies import get_http_headers

mcp = FastMCP("backend")


@mcp.tool
def whoami() -> dict:
    return caller(get_http_headers(include_all=True))


@mcp.tool
async def progress(gate: str, ctx: Context) -> dict:
    for event in (1, 2, 3):
        await ctx.report_progress(event, 3)
        await received(gate, event)
    return {"events": 3}


@mcp.tool
async def ask(ctx: Context) -> dict:
    answer = await ctx.elicit("Which colour?", response_type=str)
    return {"action": answer.action, "colour": getattr(answer, "data", None)}


@mcp.tool
async def slow(ctx: Context) -> str:
    await ctx.report_progress(1)
    return await wait_for_cancellation()


@mcp.tool
def purge() -> dict:
    return caller(get_http_headers(include_all=True))


@mcp.tool
def hidden() -> str:
    print("hidden was called", flush=True)
    return "the file of the gateway does not name this tool"


mcp.run(transport="http", host="127.0.0.1", port=int(os.environ["PORT"]), show_banner=False)
