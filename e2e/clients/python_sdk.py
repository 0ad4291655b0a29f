# A client of the official Python SDK, of version 1 or 2. Argument: the mode of the version
# negotiation (optional, only with version 2).
#
# No browser opens the authorization URL: with a header, the local Clerk signs a user in
# without its pages. For other authorization servers, the environment variable SIGN_IN_URL is
# a URL to which the authorization URL is appended; it answers with the redirect that a
# browser would get.
import os
import sys
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, quote, urlsplit

from commands import ELICITED, HTTP_TIMEOUT, run_commands
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

try:  # version 2
    import httpx2 as httpx
    from mcp import Client
    from mcp.shared.auth import AuthorizationCodeResult
    from mcp_types import ElicitResult
except ImportError:  # version 1
    import httpx
    from mcp import ClientSession
    from mcp.types import ElicitResult

    Client = None

REDIRECT_URI = "http://127.0.0.1:53683/callback"  # without a listener; visit reads the redirect itself


class Storage:
    """Stores the registration and the tokens in memory."""

    def __init__(self):
        self.tokens = None
        self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Session:
    def __init__(self, session, revision):
        self.session = session
        self.revision = revision

    async def tools(self):
        return [tool.name for tool in (await self.session.list_tools()).tools]

    async def call(self, tool, input, progress):
        return await self.session.call_tool(tool, input, progress_callback=progress)


async def answer(context, params):
    return ElicitResult(action="accept", content=ELICITED)


class SDK:
    def __init__(self, **options):
        self.options = options
        self.storage = Storage()

    def become(self, user, consent):
        self.headers = {"Localclerk-Sign-In": user, "Localclerk-Consent": consent}

    @asynccontextmanager
    async def open(self, url):
        async def visit(link):
            if sign_in := os.environ.get("SIGN_IN_URL"):
                link = sign_in + quote(link, safe="")
            async with httpx.AsyncClient(timeout=HTTP_TIMEOUT) as browser:
                response = await browser.get(link, headers=self.headers)
            location = response.headers.get("location", "")
            if not location.startswith(REDIRECT_URI):
                raise RuntimeError(f"the authorization endpoint answered {response.status_code}: {response.text}")
            self.query = dict(parse_qsl(urlsplit(location).query))

        auth = OAuthClientProvider(
            server_url=url,
            client_metadata=OAuthClientMetadata(
                client_name="Gatehouse end-to-end",
                redirect_uris=[REDIRECT_URI],
                grant_types=["authorization_code", "refresh_token"],
                response_types=["code"],
                token_endpoint_auth_method="none",
            ),
            storage=self.storage,
            redirect_handler=visit,
            callback_handler=self.read_redirect,
        )
        async with httpx.AsyncClient(auth=auth, timeout=HTTP_TIMEOUT) as http:
            transport = streamable_http_client(url, http_client=http)
            if Client is not None:
                async with Client(transport, elicitation_callback=answer, **self.options) as client:
                    yield Session(client, client.protocol_version)
                return
            async with transport as (read, write, _), ClientSession(
                read, write, elicitation_callback=answer
            ) as session:
                yield Session(session, (await session.initialize()).protocolVersion)

    async def read_redirect(self):
        if "error" in self.query:
            raise RuntimeError(f"{self.query['error']}: {self.query.get('error_description')}")
        code, state = self.query["code"], self.query.get("state")
        if Client is not None:
            return AuthorizationCodeResult(code=code, state=state, iss=self.query.get("iss"))
        return code, state

    def forget(self):
        self.storage = Storage()


run_commands(SDK(**{"mode": mode for mode in sys.argv[1:]}))
