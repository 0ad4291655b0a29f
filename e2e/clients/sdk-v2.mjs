// Argument: the mode of the version negotiation (optional).
import { Client, StreamableHTTPClientTransport as Transport, UnauthorizedError } from '@modelcontextprotocol/client';
import { drive } from './node.mjs';

const [mode] = process.argv.slice(2);
const options = mode ? { versionNegotiation: { mode } } : {};
await drive({ Client, Transport, UnauthorizedError, options, takesParams: true, elicitation: 'elicitation/create' });
