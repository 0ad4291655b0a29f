// The MCP client of the AI SDK.
import { auth, createMCPClient, UnauthorizedError } from '@ai-sdk/mcp';
import { drive } from './node.mjs';

class Session {
  constructor(sdk, url, provider) {
    Object.assign(this, { url, provider });
  }

  // open connects with the tokens of the provider. Without valid tokens it passes
  // the authorization URL to the provider and throws UnauthorizedError.
  async open() {
    this.client = await createMCPClient({
      clientName: 'gatehouse-e2e',
      transport: { type: 'http', url: this.url, authProvider: this.provider },
    });
    return this.client.initializeResult.protocolVersion;
  }

  // finish completes the sign-in with the query of the redirect URI.
  async finish(query) {
    if (query.has('error')) throw new Error(`${query.get('error')}: ${query.get('error_description')}`);
    await auth(this.provider, {
      serverUrl: this.url,
      authorizationCode: query.get('code'),
      callbackState: query.get('state'),
      callbackIssuer: query.get('iss'),
    });
  }

  async tools() {
    const { tools } = await this.client.listTools();
    return tools.map(({ name }) => name);
  }

  call({ tool, input }) {
    return this.client.callTool({ name: tool, arguments: input });
  }

  close() {
    return this.client?.close();
  }
}

await drive({ UnauthorizedError }, Session);
