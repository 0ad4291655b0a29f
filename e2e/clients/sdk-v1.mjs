import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as Transport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema as elicitation } from '@modelcontextprotocol/sdk/types.js';
import { drive } from './node.mjs';

await drive({ Client, Transport, UnauthorizedError, elicitation });
