// A server of @modelcontextprotocol/sdk with its own OAuth helpers for express.
import express from "express";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js";
import { getOAuthProtectedResourceMetadataUrl, mcpAuthMetadataRouter } from "@modelcontextprotocol/sdk/server/auth/router.js";
import { InvalidTokenError } from "@modelcontextprotocol/sdk/server/auth/errors.js";

const port = Number(process.env.PORT);
const url = new URL(`http://localhost:${port}/mcp`);
const issuer = process.env.ISSUER;
const oauthMetadata = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json();

const app = express();
app.use(mcpAuthMetadataRouter({ oauthMetadata, resourceServerUrl: url, scopesSupported: ["profile", "email"], resourceName: "sdk" }));
const auth = requireBearerAuth({
  // doctor sends no valid token, so this server needs to accept none.
  verifier: { verifyAccessToken: async () => { throw new InvalidTokenError("not valid"); } },
  requiredScopes: [],
  resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(url),
});
app.all("/mcp", auth, express.json(), async (req, res) => {
  const server = new McpServer({ name: "sdk", version: "1.0.0" });
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  await server.connect(transport);
  await transport.handleRequest(req, res, req.body);
});
app.listen(port, "localhost");
