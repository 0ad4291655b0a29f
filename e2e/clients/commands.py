# Runs the commands of the test that started this program, like commands.mjs: each command
# is a line of JSON on standard input, and the reply is a line of JSON on standard output,
# {"value": …} or {"error": "…"}. All other output goes to standard error.
import asyncio
import json
import signal
import sys
import urllib.request

HTTP_TIMEOUT = 30  # seconds
ELICITED = {"value": "blue"}  # the answer of the user to every question
MAX_COMMAND = 1 << 20  # bytes of one line


class Connection:
    """An open session. It has a task of its own, because a session that fails cancels the
    task that opened it. opening is an asynchronous context manager."""

    def __init__(self, opening):
        self.session = asyncio.get_running_loop().create_future()
        self.closing = asyncio.Event()
        self.task = asyncio.create_task(self.keep_open(opening))

    async def keep_open(self, opening):
        async with opening as session:
            self.session.set_result(session)
            await self.closing.wait()

    async def opened(self):
        """Returns the session, or raises the error that occurred in place of it."""
        await asyncio.wait([self.session, self.task], return_when=asyncio.FIRST_COMPLETED)
        if not self.session.done():
            await self.task
        return self.session.result()

    async def run(self, doing):
        """Returns the result of a coroutine or a task that uses the session. If the session fails
        meanwhile, it raises the error of the session, which the application would get where
        it opened the session; doing may never end then."""
        task = asyncio.ensure_future(doing)
        await asyncio.wait([task, self.task], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await self.task
        return await task

    async def close(self):
        self.closing.set()
        await self.task


class Commands:
    """The commands. client has the methods become, which sets the user who signs in, open,
    which returns the context manager of a session, and forget. A session has the attribute
    revision and the methods tools and call."""

    def __init__(self, client):
        self.client = client
        self.connection = None

    async def connect(self, url, user, consent, **_):
        try:
            await self.close()
        except Exception as error:  # the server may have stopped
            print("closing the previous session:", describe(error), file=sys.stderr)
        self.client.become(user, consent)
        connection = Connection(self.client.open(url))
        self.session = await connection.opened()
        self.connection = connection
        return self.session.revision

    async def become(self, user, consent, **_):
        self.client.become(user, consent)

    async def tools(self):
        return await self.session.tools()

    async def call(self, tool, input, seen=None, cancels=False):
        """Calls a tool. seen is a URL that gets a POST request for each progress event, when the
        event arrives. If cancels is true, the first event cancels the call."""

        async def report(progress, *_):
            if cancels:
                calling.cancel()
            else:
                await asyncio.to_thread(post, f"{seen}?event={progress:g}")

        calling = asyncio.create_task(self.session.call(tool, input, report if seen or cancels else None))
        result = await self.connection.run(calling)
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def forget(self):
        self.client.forget()

    async def close(self):
        connection, self.connection = self.connection, None
        if connection is not None:
            await connection.close()


def post(url):
    """Sends a POST request without a body."""
    urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=HTTP_TIMEOUT).close()


def describe(error):
    """Returns the messages of an error, and of those that it contains or that caused it."""
    parts = [f"{type(error).__name__}: {error}"]
    parts += [describe(e) for e in getattr(error, "exceptions", ())]
    if error.__cause__ is not None:
        parts.append(describe(error.__cause__))
    return "; ".join(parts)


async def read_commands():
    reader = asyncio.StreamReader(limit=MAX_COMMAND)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


async def serve(client):
    replies, sys.stdout = sys.stdout, sys.stderr
    commands = Commands(client)
    async for request in read_commands():
        command = getattr(commands, request.pop("command"))
        try:
            reply = {"value": await command(**request)}
        except (Exception, asyncio.CancelledError) as error:
            reply = {"error": describe(error)}
        print(json.dumps(reply), file=replies, flush=True)


def run_commands(client):
    """Runs the commands with a client until standard input ends, or the test interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a traceback
    asyncio.run(serve(client))
