import { MCPServer } from "mcp-use";
import { oauthClerkProvider } from "mcp-use/oauth/clerk";

const server = new MCPServer({ name: "mcp-use", version: "2.5.2", oauth: oauthClerkProvider() });
server.tool({ name: "whoami", description: "Who called" }, async (_args, ctx) => ({
  content: [{ type: "text", text: ctx.auth.user.id }],
}));
await server.listen(Number(process.env.PORT));
