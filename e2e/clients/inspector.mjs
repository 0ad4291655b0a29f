// MCP Inspector's web page in Chromium, used as a person uses it. Arguments: the
// program of Chromium, the URL that the Inspector printed, a folder for pictures.
import { openBrowser, signInOnPages } from './browser.mjs';
import { obey } from './commands.mjs';

const [program, inspector, pictures] = process.argv.slice(2);
const browser = await openBrowser(program);
const page = await (await browser.newContext()).newPage();
page.on('console', (message) => console.error(`page: ${message.text()}`));
let album; // a name for the pictures of one visit
let taken = 0;

async function picture(name) {
  taken++;
  await page.screenshot({ path: `${pictures}/inspector-${album}-${taken}-${name}.png` });
}

async function addServer(id, url) {
  await page.getByRole('button', { name: 'Add Servers' }).click();
  await page.getByRole('menuitem', { name: 'Add manually' }).click();
  await page.getByRole('textbox', { name: 'Server ID' }).fill(id);
  await page.getByRole('textbox', { name: 'Transport' }).click();
  await page.getByRole('option', { name: 'streamable-http' }).click();
  await page.getByRole('textbox', { name: 'URL' }).fill(url);
  await picture('add-server');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
}

// toggle connects a server. The switch is drawn over its input, which is what
// has the role.
async function toggle(id) {
  const server = page.getByRole('switch', { name: `"${id}"` });
  await server.scrollIntoViewIfNeeded();
  await server.check({ force: true });
}

await obey({
  async connect({ url, name, consent, organization }) {
    album = consent;
    const id = `gatehouse-${consent}`;
    await page.goto(inspector);
    await addServer(id, url);
    await picture('added');
    await toggle(id);
    await signInOnPages(page, { name, consent, organization, picture });
    if (consent === 'deny') {
      const alert = page.getByText(/denied/i).first();
      await alert.waitFor();
      await picture('denied');
      throw new Error(await alert.textContent());
    }
    await page.getByText('Connected', { exact: true }).waitFor();
    await picture('connected');
    return (await page.getByText(/^MCP \d{4}-\d\d-\d\d$/).textContent()).slice('MCP '.length);
  },
  async tools() {
    await page.getByRole('banner').getByText('Tools', { exact: true }).click();
    const tools = page.locator('main').getByRole('button', { name: /^(note|organization|token|whoami)$/ });
    await tools.last().waitFor();
    await picture('tools');
    return await tools.allTextContents();
  },
  async call({ tool }) {
    await page.locator('main').getByRole('button', { name: tool, exact: true }).click();
    await page.getByRole('button', { name: 'Execute Tool' }).click();
    await page.getByRole('heading', { name: 'Structured Output' }).waitFor();
    await picture(tool);
    const shown = await page.locator('.ace_editor').last().evaluate((element) => element.env.editor.getValue());
    return { content: [], structuredContent: JSON.parse(shown) };
  },
  close: () => browser.close(),
});
