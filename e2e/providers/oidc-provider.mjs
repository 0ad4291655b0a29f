// An authorization server of the npm package oidc-provider, with its pages for
// development, on which any name and any password sign in. Settings, all required:
//
//   PORT       the port of 127.0.0.1 to listen on
//   RESOURCE   the URL of the MCP server
//   FORMAT     the format of access tokens for it: jwt or opaque; or "unbound" for a
//              server without resource indicators, whose tokens have no audience
import Provider, { errors } from 'oidc-provider';

const { PORT, RESOURCE, FORMAT } = process.env;
const issuer = `http://127.0.0.1:${PORT}`;

const resourceServer = {
  scope: 'mcp:tools',
  audience: RESOURCE,
  accessTokenFormat: FORMAT,
  jwt: { sign: { alg: 'RS256' } },
};

const provider = new Provider(issuer, {
  clients: [
    { // asks the server about opaque tokens
      client_id: 'mcp-server',
      client_secret: 'mcp-server-secret',
      grant_types: [],
      redirect_uris: [],
      response_types: [],
    },
    { // signs in by itself
      client_id: 'robot',
      client_secret: 'robot-secret',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      scope: 'mcp:tools',
    },
  ],
  scopes: ['openid', 'offline_access', 'mcp:tools'],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: FORMAT !== 'unbound',
      getResourceServerInfo(ctx, resource) {
        if (resource !== RESOURCE) throw new errors.InvalidTarget('unknown resource');
        return resourceServer;
      },
      useGrantedResource: () => true,
    },
  },
});

provider.listen(Number(PORT), '127.0.0.1');
