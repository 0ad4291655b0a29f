# The client of FastMCP with its own sign-in: it opens the authorization URL in a browser, and
# listens for the redirect. The browser is a thread of this program. With a header, the local
# Clerk signs a user in without its pages.
import threading
import time
import webbrowser
from contextlib import asynccontextmanager

import httpx
from commands import ELICITED, run_commands
from fastmcp import Client
from fastmcp.client.auth import OAuth

SIGN_IN_TIME = 30  # seconds for the redirect to arrive
RETRY_PAUSE = 0.1  # seconds until the browser tries again while FastMCP does not listen yet


class Browser(webbrowser.BaseBrowser):
    """The browser of a user, who allows or denies consent."""

    def sign_in_as(self, user, consent):
        self.headers = {"Localclerk-Sign-In": user, "Localclerk-Consent": consent}

    def open(self, url, new=0, autoraise=True):
        threading.Thread(target=self.visit, args=[url], daemon=True).start()
        return True

    def visit(self, url):
        location = httpx.get(url, headers=self.headers).headers["location"]
        deadline = time.monotonic() + SIGN_IN_TIME
        while time.monotonic() < deadline:
            try:
                return httpx.get(location)
            except httpx.ConnectError:
                time.sleep(RETRY_PAUSE)


class Session:
    def __init__(self, client):
        self.client = client
        self.revision = client.initialize_result.protocolVersion

    async def tools(self):
        return [tool.name for tool in await self.client.list_tools()]

    async def call(self, tool, input, progress):
        return await self.client.call_tool_mcp(tool, input, progress_handler=progress)


async def answer(message, response_type, params, context):
    return ELICITED


class FastMCP:
    def __init__(self):
        self.browser = Browser()
        webbrowser.register("user", None, self.browser, preferred=True)
        self.forget()

    def become(self, user, consent):
        self.browser.sign_in_as(user, consent)

    @asynccontextmanager
    async def open(self, url):
        async with Client(url, auth=self.auth, elicitation_handler=answer) as client:
            yield Session(client)

    def forget(self):
        self.auth = OAuth(callback_timeout=SIGN_IN_TIME)


run_commands(FastMCP())
