// An authorization server of Better Auth with its plugin for OAuth, in memory, with a page
// for sign-in and one for consent. Its user is ada@example.com with the password
// ada-password. The document /robot has a client that signs in by itself. Settings, all
// required:
//
//   PORT       the port of 127.0.0.1 to listen on
//   RESOURCE   the URL of the MCP server
import { createServer } from 'node:http';
import { oauthProvider, oauthProviderAuthServerMetadata, oauthProviderOpenIdConfigMetadata } from '@better-auth/oauth-provider';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { toNodeHandler } from 'better-auth/node';
import { jwt } from 'better-auth/plugins';

const { PORT, RESOURCE } = process.env;
const origin = `http://127.0.0.1:${PORT}`;
const scopes = ['openid', 'profile', 'email', 'offline_access', 'mcp:tools'];

const tables = {};
for (const name of [
  'user', 'session', 'account', 'verification', 'jwks', 'oauthClient', 'oauthAccessToken', 'oauthRefreshToken',
  'oauthConsent', 'oauthResource', 'oauthClientResource', 'oauthClientAssertion',
]) tables[name] = [];

const auth = betterAuth({
  baseURL: origin,
  basePath: '/api/auth',
  secret: 'a secret for the tests of this folder only',
  database: memoryAdapter(tables),
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  plugins: [
    jwt(),
    oauthProvider({
      loginPage: '/login',
      consentPage: '/consent',
      scopes,
      resources: [RESOURCE],
      allowDynamicClientRegistration: true,
      allowUnauthenticatedClientRegistration: true,
      clientRegistrationDefaultScopes: scopes,
      clientRegistrationDefaultResources: [RESOURCE],
      clientRegistrationAllowedResources: [RESOURCE],
      clientPrivileges: ({ user }) => user.email === 'grace@example.com',
      grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'],
    }),
  ],
});

const metadata = {
  '/.well-known/oauth-authorization-server/api/auth': oauthProviderAuthServerMetadata(auth),
  '/api/auth/.well-known/openid-configuration': oauthProviderOpenIdConfigMetadata(auth),
};

// The administrator registers a client that signs in by itself, and that may ask the server
// about tokens.
const administrator = await auth.api.signUpEmail({
  body: { name: 'Grace Hopper', email: 'grace@example.com', password: 'grace-password' },
  returnHeaders: true,
});
const session = administrator.headers.getSetCookie().map((cookie) => cookie.split(';')[0]).join('; ');
const robot = await auth.api.adminCreateOAuthClient({
  headers: new Headers({ Cookie: session }),
  body: {
    client_name: 'robot',
    grant_types: ['client_credentials'],
    client_credentials_scopes: ['mcp:tools'],
    token_endpoint_auth_method: 'client_secret_basic',
  },
});
await auth.api.signUpEmail({ body: { name: 'Ada Lovelace', email: 'ada@example.com', password: 'ada-password' } });

const form = (content) => `<!doctype html><form method="post">${content}</form>`;
const pages = {
  '/login': form('<input name="email"><input name="password" type="password"><button>Sign in</button>'),
  '/consent': form('<button name="accept" value="no">Deny</button><button name="accept" value="yes">Allow</button>'),
};

// answer sends what a page collected to Better Auth, as its scripts for web pages do, and
// follows the answer.
async function answer(request, response, path, body) {
  const query = new URL(request.url, origin).search.slice(1);
  const result = await fetch(`${origin}/api/auth${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/json', Origin: origin, Cookie: request.headers.cookie ?? '' },
    body: JSON.stringify({ ...body, oauth_query: query }),
  });
  const text = await result.text();
  const { url, redirect_uri: redirectURI } = result.ok ? JSON.parse(text) : {};
  for (const cookie of result.headers.getSetCookie()) response.appendHeader('Set-Cookie', cookie);
  if (url ?? redirectURI) response.writeHead(303, { Location: url ?? redirectURI }).end();
  else response.writeHead(500).end(`Better Auth answered ${result.status}: ${text}`);
}

async function readForm(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

const handler = toNodeHandler(auth);

async function serve(request, response) {
  const { pathname } = new URL(request.url, origin);
  if (metadata[pathname]) {
    const document = await metadata[pathname](new Request(origin + request.url));
    response.writeHead(document.status, Object.fromEntries(document.headers)).end(await document.text());
  } else if (pathname === '/robot') { // for the tests
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(robot));
  } else if (pages[pathname] && request.method === 'GET') {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end(pages[pathname]);
  } else if (pathname === '/login') {
    const fields = await readForm(request);
    await answer(request, response, '/sign-in/email', { email: fields.get('email'), password: fields.get('password') });
  } else if (pathname === '/consent') {
    await answer(request, response, '/oauth2/consent', { accept: (await readForm(request)).get('accept') === 'yes' });
  } else {
    await handler(request, response);
  }
}

createServer((request, response) => {
  serve(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
}).listen(Number(PORT), '127.0.0.1');
