// Uses the web page of MCP Inspector in Chromium. Arguments: the program of
// Chromium, the URL that the Inspector printed, a folder for screenshots.
import { openBrowser, signInOnPages } from './browser.mjs';
import { runCommands } from './commands.mjs';

const [program, inspector, folder] = process.argv.slice(2);
const browser = await openBrowser(program);
const page = await (await browser.newContext()).newPage();
page.on('console', (message) => console.error(`page: ${message.text()}`));
let series; // name of the screenshots of one connect
let count = 0; // of screenshots

async function screenshot(name) {
  count++;
  await page.screenshot({ path: `${folder}/inspector-${series}-${count}-${name}.png` });
}

async function addServer(id, url) {
  await page.getByRole('button', { name: 'Add Servers' }).click();
  await page.getByRole('menuitem', { name: 'Add manually' }).click();
  await page.getByRole('textbox', { name: 'Server ID' }).fill(id);
  await page.getByRole('textbox', { name: 'Transport' }).click();
  await page.getByRole('option', { name: 'streamable-http' }).click();
  await page.getByRole('textbox', { name: 'URL' }).fill(url);
  await screenshot('add-server');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
}

// connectServer turns the switch of a server on. The input that has the role is
// covered by the visible switch, so the click must be forced.
async function connectServer(id) {
  const server = page.getByRole('switch', { name: `"${id}"` });
  await server.scrollIntoViewIfNeeded();
  await server.check({ force: true });
}

await runCommands({
  async connect({ url, name, consent, organization }) {
    series = consent;
    const id = `gatehouse-${consent}`;
    await page.goto(inspector);
    await addServer(id, url);
    await screenshot('added');
    await connectServer(id);
    await signInOnPages(page, { name, consent, organization, screenshot });
    if (consent === 'deny') {
      const alert = page.getByText(/denied/i).first();
      await alert.waitFor();
      await screenshot('denied');
      throw new Error(await alert.textContent());
    }
    await page.getByText('Connected', { exact: true }).waitFor();
    await screenshot('connected');
    return (await page.getByText(/^MCP \d{4}-\d\d-\d\d$/).textContent()).slice('MCP '.length);
  },
  async tools() {
    await page.getByRole('banner').getByText('Tools', { exact: true }).click();
    const tools = page.locator('main').getByRole('button', { name: /^(note|organization|token|whoami)$/ });
    await tools.last().waitFor();
    await screenshot('tools');
    return await tools.allTextContents();
  },
  async call({ tool }) {
    await page.locator('main').getByRole('button', { name: tool, exact: true }).click();
    await page.getByRole('button', { name: 'Execute Tool' }).click();
    await page.getByRole('heading', { name: 'Structured Output' }).waitFor();
    await screenshot(tool);
    const shown = await page.locator('.ace_editor').last().evaluate((element) => element.env.editor.getValue());
    return { content: [], structuredContent: JSON.parse(shown) };
  },
  close: () => browser.close(),
});
