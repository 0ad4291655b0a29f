import { MCPServer, oauthClerkProvider, object } from "mcp-use-v1/server";

const server = new MCPServer({ name: "mcp-use", version: "1.34.6", oauth: oauthClerkProvider() });
server.tool({ name: "whoami", description: "Who called" }, async (_args, ctx) => object({ userId: ctx.auth.user.userId }));
await server.listen(Number(process.env.PORT));
