// An MCP server of the TypeScript SDK behind the gateway. It knows nothing of OAuth.
//
//   npm install
//   gatehouse dev --upstream http://localhost:8000/mcp -- node server.mjs
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import express from 'express';

import { caller } from './assertion.mjs';

function newServer() {
  const server = new McpServer({ name: 'notes', version: '1.0.0' });
  server.registerTool('whoami', { description: 'Says who calls' }, async ({ requestInfo }) => {
    const { sub } = await caller(requestInfo.headers);
    return { content: [{ type: 'text', text: sub }] };
  });
  return server;
}

const app = express();
app.use(express.json({ limit: '4mb' }));
app.all('/mcp', async (req, res) => {
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined }); // stateless
  res.on('close', () => transport.close());
  await newServer().connect(transport);
  await transport.handleRequest(req, res, req.body);
});
app.listen(process.env.PORT ?? 8000, '127.0.0.1');
