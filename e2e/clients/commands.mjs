// Runs the commands of the test that started this program. Each command is a line
// of JSON on standard input. The reply is a line of JSON on standard output,
// {"value": …} or {"error": "…"}. All other output goes to standard error.
import { createInterface } from 'node:readline';

console.log = console.error;
console.info = console.error;
console.debug = console.error;

// runCommands calls the function of commands that each line names.
export async function runCommands(commands) {
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
