// An MCP server of the TypeScript SDK with sessions, which knows nothing of OAuth. The settings
// are in the environment: PORT, and GATEWAY, the origin of the gateway.
import { randomUUID } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import express from 'express';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { z } from 'zod';

const { GATEWAY: gateway, PORT: port } = process.env;
const keys = createRemoteJWKSet(new URL('/.well-known/gatehouse-jwks.json', gateway));

// caller returns who calls, and prints it. The assertion is verified.
async function caller({ requestInfo: { headers } }) {
  const { payload } = await jwtVerify(headers['x-gatehouse-assertion'], keys, {
    algorithms: ['ES256'],
    issuer: gateway,
    audience: `${gateway}/mcp`,
    requiredClaims: ['exp', 'sub'],
  });
  const user = headers['x-forwarded-user'];
  console.log(`called by ${user}, asserted ${payload.sub}`);
  return result({ user, subject: payload.sub, token: headers.authorization ?? '' });
}

function result(value) {
  return { content: [{ type: 'text', text: JSON.stringify(value) }], structuredContent: value };
}

function report({ _meta, sendNotification }, progress) {
  return sendNotification({ method: 'notifications/progress', params: { progressToken: _meta.progressToken, progress } });
}

function newServer() {
  const server = new McpServer({ name: 'backend', version: '1.0.0' });
  server.registerTool('whoami', {}, caller);
  server.registerTool('purge', {}, caller);
  server.registerTool('hidden', {}, () => {
    console.log('hidden was called');
    return result({ problem: 'the file of the gateway does not name this tool' });
  });
  server.registerTool('progress', { inputSchema: { gate: z.string() } }, async ({ gate }, extra) => {
    for (const event of [1, 2, 3]) {
      await report(extra, event);
      await fetch(`${gate}?wait=${event}`); // until the client has received it
    }
    return result({ events: 3 });
  });
  server.registerTool('ask', {}, async (extra) => {
    const answer = await server.server.elicitInput({
      message: 'Which colour?',
      requestedSchema: { type: 'object', properties: { value: { type: 'string' } }, required: ['value'] },
    }, { relatedRequestId: extra.requestId });
    return result({ action: answer.action, colour: answer.content?.value ?? null });
  });
  server.registerTool('slow', {}, async (extra) => {
    const cancelled = new Promise((resolve) => extra.signal.addEventListener('abort', resolve));
    await report(extra, 1);
    await cancelled;
    console.log('the call was cancelled');
    return result({});
  });
  return server;
}

const transports = new Map(); // by session ID
const app = express();
app.use(express.json());
app.all('/mcp', async (req, res) => {
  const id = req.headers['mcp-session-id'];
  if (id && !transports.has(id)) {
    res.status(404).json({ jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } });
    return;
  }
  let transport = transports.get(id);
  if (!transport) {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (opened) => transports.set(opened, transport),
    });
    await newServer().connect(transport);
  }
  await transport.handleRequest(req, res, req.body);
});
app.listen(Number(port), '127.0.0.1');
