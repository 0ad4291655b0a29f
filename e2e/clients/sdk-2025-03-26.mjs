import { UnauthorizedError } from 'sdk-2025-03-26/client/auth.js';
import { Client } from 'sdk-2025-03-26/client/index.js';
import { StreamableHTTPClientTransport as Transport } from 'sdk-2025-03-26/client/streamableHttp.js';
import { drive } from './node.mjs';

await drive({ Client, Transport, UnauthorizedError });
