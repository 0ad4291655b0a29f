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

const main = page.locator('main');
const stepUpDialog = page.getByText('Additional permissions required');
const toolFailed = page.getByText('Tool Error');
const toolResult = page.getByRole('heading', { name: 'Structured Output' });
let who; // the user who signs in, and whether they consent
let servers = 0; // that were added
let id; // of the last one

// execute runs the selected tool, and waits for its result, its failure, or the
// question whether to request more scopes.
async function execute(tool) {
  await page.getByRole('button', { name: 'Execute Tool' }).click();
  await toolResult.or(toolFailed).or(stepUpDialog).first().waitFor();
  await screenshot(tool);
}

// stepUp agrees to request more scopes, and signs in. It throws the error that the
// page then shows, if there is one.
async function stepUp() {
  await page.getByRole('button', { name: 'Authorize' }).click();
  const failed = page.getByText(/denied|not allowed to request/i).first();
  const accounts = page.getByRole('button', { name: who.name });
  await accounts.or(failed).first().waitFor();
  const asked = await accounts.isVisible();
  if (asked) await signInOnPages(page, { ...who, screenshot });
  if (asked && who.consent === 'allow') {
    await main.getByRole('button', { name: 'Execute Tool' }).waitFor();
    return;
  }
  await failed.waitFor();
  await screenshot('step-up-failed');
  throw new Error(await failed.textContent());
}

// readResult returns the result of a tool that succeeded, and throws the error of another.
async function readResult() {
  if (await toolFailed.isVisible()) {
    throw new Error(await main.innerText());
  }
  const shown = await page.locator('.ace_editor').last().evaluate((element) => element.env.editor.getValue());
  return { content: [], structuredContent: JSON.parse(shown) };
}

await runCommands({
  async connect({ url, name, consent, organization }) {
    series = consent;
    servers++;
    id = `gatehouse-${consent}-${servers}`;
    who = { name, consent, organization };
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
  become(input) { who = input; },
  async call({ tool }) {
    await page.getByRole('banner').getByText('Tools', { exact: true }).click();
    // A tool without a description has a warning next to its name.
    await main.getByRole('button', { name: new RegExp(`^${tool}\\b`) }).click();
    await execute(tool);
    if (await stepUpDialog.isVisible()) {
      await stepUp();
      await execute(tool); // the page does not repeat the call
      if (await stepUpDialog.isVisible()) throw new Error('the page asks for more scopes again');
    }
    return await readResult();
  },
  // reconnect connects the last server again, after it has failed.
  async reconnect() {
    await connectServer(id);
    await page.getByText('Connected', { exact: true }).waitFor();
    await screenshot('reconnected');
  },
  close: () => browser.close(),
});
