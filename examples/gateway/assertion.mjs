// Verifies the assertion of the gateway, which says who calls. This is also valid TypeScript.
import { createRemoteJWKSet, jwtVerify } from 'jose';

const endpoint = process.env.MCP_URL ?? 'http://localhost:3000/mcp'; // the public URL, as users type it into their client
const gateway = new URL(endpoint).origin;
const keys = createRemoteJWKSet(new URL('/.well-known/gatehouse-jwks.json', gateway));

// caller returns the claims of the assertion in the headers, and throws if it is missing or not valid.
export async function caller(headers) {
  const assertion = headers['x-gatehouse-assertion'];
  if (!assertion) throw new Error('the request has no assertion; call the server through the gateway');
  const { payload } = await jwtVerify(assertion, keys, {
    algorithms: ['ES256'],
    issuer: gateway,
    audience: endpoint,
    requiredClaims: ['exp', 'sub'],
  });
  return payload;
}
