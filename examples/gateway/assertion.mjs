// Verifies the assertion of the gateway, which says who calls. This is also valid TypeScript.
import { createRemoteJWKSet, jwtVerify } from 'jose';

const gateway = process.env.GATEWAY ?? 'http://localhost:3000';
const keys = createRemoteJWKSet(new URL('/.well-known/gatehouse-jwks.json', gateway));

// caller returns the claims of an assertion, and throws if it is not valid.
export async function caller(assertion) {
  const { payload } = await jwtVerify(assertion, keys, {
    algorithms: ['ES256'],
    issuer: gateway,
    audience: `${gateway}/mcp`, // the public URL of the endpoint
    requiredClaims: ['exp', 'sub'],
  });
  return payload;
}
