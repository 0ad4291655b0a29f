# An MCP server of the official Python SDK, version 2, which knows nothing of OAuth.
import os
from typing import Annotated, Any

from caller import caller, received, wait_for_cancellation
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel

mcp = MCPServer("backend")


class Colour(BaseModel):
    value: str


def ask_colour() -> Elicit[Colour]:
    return Elicit("Which colour?", Colour)


@mcp.tool()
def whoami(ctx: Context) -> dict[str, Any]:
    return caller(ctx.headers)


@mcp.tool()
async def progress(gate: str, ctx: Context) -> dict[str, Any]:
    for event in (1, 2, 3):
        await ctx.report_progress(event, 3)
        await received(gate, event)
    return {"events": 3}


@mcp.tool()
async def ask(colour: Annotated[Colour, Resolve(ask_colour)]) -> dict[str, Any]:
    return {"action": "accept", "colour": colour.value}


@mcp.tool()
async def slow(ctx: Context) -> str:
    await ctx.report_progress(1)
    return await wait_for_cancellation()


@mcp.tool()
def purge(ctx: Context) -> dict[str, Any]:
    return caller(ctx.headers)


@mcp.tool()
def hidden() -> str:
    print("hidden was called", flush=True)
    return "the file of the gateway does not name this tool"


mcp.run(transport="streamable-http", host="127.0.0.1", port=int(os.environ["PORT"]))
