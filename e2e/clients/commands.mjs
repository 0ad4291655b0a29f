// Commands from the test that started this program, one JSON object a line on
// standard input, and one JSON line on standard output for each: {"value": …}
// or {"error": "…"}. Everything else a client prints goes to standard error.
import { createInterface } from 'node:readline';

console.log = console.error;
console.info = console.error;
console.debug = console.error;

export async function obey(commands) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { command, ...input } = JSON.parse(line);
    let reply;
    try {
      reply = { value: (await commands[command](input)) ?? null };
    } catch (error) {
      console.error(error);
      reply = { error: `${error.name}: ${error.message}` };
    }
    process.stdout.write(JSON.stringify(reply) + '\n');
  }
  process.exit(0);
}
