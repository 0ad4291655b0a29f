// Runs an SDK in a web page in Chromium. Arguments: the program of Chromium, and
// the mode of the version negotiation (optional).
import { createServer } from 'node:http';
import { build } from 'esbuild';
import { openBrowser, signInOnPages } from './browser.mjs';
import { runCommands } from './commands.mjs';

const [program, mode] = process.argv.slice(2);

const bundle = await build({
  entryPoints: [new URL('page/app.mjs', import.meta.url).pathname],
  bundle: true, format: 'esm', platform: 'browser', write: false, logLevel: 'silent',
});
const script = bundle.outputFiles[0].text;
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/app.js') {
    response.writeHead(200, { 'content-type': 'text/javascript' }).end(script);
  } else {
    response.writeHead(200, { 'content-type': 'text/html' })
      .end('<!doctype html><title>A page</title><body><script type="module" src="/app.js"></script>');
  }
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://localhost:${server.address().port}`;

const browser = await openBrowser(program);
let page;
let failures = []; // violations of the CORS policy that the browser reported

async function openPage() {
  page = await (await browser.newContext()).newPage();
  page.on('console', (message) => {
    console.error(`page: ${message.text()}`);
    if (/CORS policy/.test(message.text())) failures.push(message.text());
  });
}

const ready = () => page.getByText('ready', { exact: true }).waitFor();

await runCommands({
  async connect({ url, name, consent }) {
    if (!page) await openPage();
    failures = [];
    await page.goto(mode ? `${origin}/?mode=${mode}` : origin);
    await ready();
    let revision = await page.evaluate((to) => window.connect(to), url);
    if (revision === null) {
      await page.evaluate(() => { setTimeout(() => location.assign(window.signInAt)); });
      await signInOnPages(page, { name, consent });
      await page.waitForURL(`${origin}/callback?*`);
      await ready();
      revision = await page.evaluate(() => window.resume());
    }
    if (failures.length > 0) throw new Error(failures.join('\n'));
    return revision;
  },
  tools: () => page.evaluate(() => window.session.tools()),
  call: (input) => page.evaluate((it) => window.session.call(it), input),
  forget: () => page.evaluate(() => sessionStorage.clear()),
  async close() {
    await page.evaluate(() => window.session.close());
    await browser.close();
  },
});
