// Uses the window of "gatehouse dev" and the pages of its local Clerk in a browser.
// Argument: the program of Chromium.
import { openBrowser } from './browser.mjs';
import { runCommands } from './commands.mjs';

const browser = await openBrowser(process.argv[2]);
const browserErrors = [];
let clerk; // origin of the local Clerk
let page; // with the window
let visit; // with a page of the local Clerk

async function newPage({ width = 1280, height = 800, scale = 1, scheme = 'light', motion = 'reduce' }) {
  const context = await browser.newContext({
    viewport: { width, height }, deviceScaleFactor: scale, colorScheme: scheme, reducedMotion: motion,
  });
  const opened = await context.newPage();
  // The last page of a sign-in belongs to the client, so its messages do not count.
  opened.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && message.location().url.startsWith(clerk)) browserErrors.push(message.text());
  });
  opened.on('pageerror', (error) => browserErrors.push(String(error)));
  return opened;
}

const newestRun = () => page.locator('article.run').first();

// clickAll clicks the first element that matches until none matches.
async function clickAll(selector) {
  const matching = newestRun().locator(selector);
  while (await matching.count() > 0) await matching.first().click();
}

await runCommands({
  async open({ url, ...look }) {
    await page?.context().close();
    clerk = new URL(url).origin;
    page = await newPage(look);
    await page.goto(url);
    await page.getByText('live', { exact: true }).waitFor();
  },

  // headline waits until the headline of the newest run contains text.
  async headline({ text }) {
    await newestRun().locator('.headline', { hasText: text }).waitFor();
    return newestRun().locator('.headline').textContent();
  },

  // client waits until the newest run is that of a client whose name contains text.
  async client({ text }) { await newestRun().locator('.client', { hasText: text }).waitFor(); },

  titles: () => newestRun().locator('.step .label b').allTextContents(),

  // waitForTitle waits until the newest run has a step with a title.
  async waitForTitle({ title }) { await newestRun().locator('.step .label').getByText(title, { exact: true }).first().waitFor(); },

  why: () => newestRun().locator('.why').allTextContents(),

  runs: () => page.locator('article.run .headline').allTextContents(),

  html: () => page.evaluate(() => document.documentElement.outerHTML),

  // openSteps opens every step of the newest run and returns their details.
  async openSteps() {
    await clickAll('.bar[aria-expanded="false"]');
    return newestRun().locator('.detail').allInnerTexts();
  },

  // openStep opens the first step of the newest run with a title.
  async openStep({ title }) { await newestRun().locator('.bar', { has: page.getByText(title, { exact: true }) }).first().click(); },

  // filter shows only the runs that contain text, and returns the names of their clients.
  async filter({ text }) {
    await page.getByRole('searchbox').fill(text);
    return page.locator('article.run:visible .client').allTextContents();
  },

  // clear removes all runs.
  async clear() {
    await page.getByRole('button', { name: 'Clear', exact: true }).click();
    await page.locator('article.run').first().waitFor({ state: 'detached' });
    await page.getByText('No sign-ins yet.').waitFor();
  },

  // overlaps returns the controls of the newest run's heading that overlap each other.
  overlaps: () => newestRun().locator('h3 > button').evaluate((heading) => {
    const boxes = [...heading.children].map((child) => [child.className, child.getBoundingClientRect()]);
    return boxes.flatMap(([name, a], i) => boxes.slice(i + 1)
      .filter(([, b]) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
      .map(([other]) => `${name} and ${other}`));
  }),

  // innerScroll returns the parts of the page around its content that scroll by themselves.
  innerScroll: () => page.evaluate(() => [...document.querySelectorAll('main, aside, aside *')]
    .filter((part) => part.scrollHeight > part.clientHeight + 1 && ['auto', 'scroll'].includes(getComputedStyle(part).overflowY) && part.tagName !== 'TEXTAREA')
    .map((part) => part.id || part.className || part.tagName)),

  // address returns where the browser ends that opens a URL.
  async address({ url }) {
    const opened = await newPage({});
    await opened.goto(url);
    const at = opened.url();
    await opened.context().close();
    return at;
  },

  closeSteps: () => clickAll('.bar[aria-expanded="true"]'),

  // toggleByKeyboard opens and closes the first step of the newest run with keys.
  async toggleByKeyboard() {
    await page.locator('.skip').focus();
    await page.keyboard.press('Enter');
    const first = newestRun().locator('.bar').first();
    const focused = () => first.evaluate((bar) => bar === document.activeElement);
    for (let tabs = 0; tabs < 8 && !await focused(); tabs++) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    const opened = await first.getAttribute('aria-expanded');
    await page.keyboard.press('Enter');
    return { opened, closed: await first.getAttribute('aria-expanded') };
  },

  // unnamedControls returns the controls without a name for screen readers.
  unnamedControls: () => page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea')]
    .filter((control) => !(control.innerText || control.textContent || '').trim() && !control.labels?.length && !control.getAttribute('aria-label'))
    .map((control) => control.outerHTML)),

  overflows: () => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth),

  async openSection({ name }) { await page.locator('summary', { has: page.getByRole('heading', { name, exact: true }) }).click(); },

  // press presses a control. With result, it also waits until the page reports that. The page
  // shows it for a few seconds only, so the wait begins before the press.
  async press({ name, role = 'button', result }) {
    const shown = result && page.locator('#result', { hasText: result }).waitFor();
    await Promise.all([page.getByRole(role, { name, exact: true }).click(), shown]);
  },

  // hold presses the mouse button on a control, and release releases it there.
  async hold({ name, role }) {
    await page.getByRole(role, { name, exact: true }).hover();
    await page.mouse.down();
  },

  release: () => page.mouse.up(),

  // waitForClient waits until the panel lists a client.
  async waitForClient({ name }) { await page.locator('#clients summary', { hasText: name }).waitFor({ state: 'attached' }); },

  // waitForSwitch waits until a switch is on or off.
  async waitForSwitch({ name, on }) { await page.getByRole('switch', { name, exact: true, checked: on }).waitFor(); },

  // waitForFault waits until the button of a fault is pressed or not.
  async waitForFault({ name, on }) { await page.getByRole('button', { name, exact: true, pressed: on }).waitFor(); },

  // check checks the set-up, with the keyboard, and returns what the page then shows. The button keeps
  // the focus.
  async check() {
    const button = page.locator('#check-button');
    await button.focus();
    await page.keyboard.press('Enter');
    await page.locator('#check-summary', { hasText: ' passed' }).waitFor();
    await page.getByRole('button', { name: 'Check again', exact: true }).waitFor();
    return {
      summary: await page.locator('#check-summary').innerText(),
      focused: await button.evaluate((element) => element === document.activeElement),
      headings: await page.locator('#check-report > h3').allInnerTexts(),
      problems: await page.locator('.finding').allInnerTexts(),
      verdicts: await page.locator('.verdicts li').allInnerTexts(),
    };
  },

  // waitForSummary waits until the summary of the check contains text.
  async waitForSummary({ text }) { await page.locator('#check-summary', { hasText: text }).waitFor(); },

  // hideCheck hides the report, and returns whether the button has the focus.
  async hideCheck() {
    await page.getByRole('button', { name: 'Hide', exact: true }).click();
    await page.locator('#check-report').waitFor({ state: 'hidden' });
    return page.locator('#check-button').evaluate((element) => element === document.activeElement);
  },

  // allTitles returns the titles of the steps of all runs of clients.
  allTitles: () => page.locator('article.run').evaluateAll((runs) => runs
    .filter((run) => run.querySelector('.client').textContent !== 'MCP server')
    .flatMap((run) => [...run.querySelectorAll('.step .label b')].map((title) => title.textContent))),

  async choose({ label, value }) { await page.getByLabel(label, { exact: true }).selectOption(value); },

  async mintedToken() {
    await page.locator('#minted').waitFor();
    return page.locator('#minted').inputValue();
  },

  // announcement returns the text for screen readers.
  announcement: () => page.locator('#announcement').textContent(),

  // visit opens the link of a client to the local Clerk.
  async visit({ url, ...look }) {
    await visit?.context().close();
    visit = await newPage(look);
    await visit.goto(url);
    return visit.locator('body').innerText();
  },

  async signIn({ name }) {
    await visit.getByRole('button', { name }).click();
    await visit.getByRole('button', { name: 'Allow' }).waitFor();
    return visit.locator('main').innerText();
  },

  // consent presses a button of the consent page and returns the redirect.
  async consent({ button, organization }) {
    if (organization) await visit.getByLabel('Organization').selectOption({ label: organization });
    await visit.getByRole('button', { name: button }).click();
    await visit.waitForURL((url) => url.searchParams.has('code') || url.searchParams.has('error'));
    return visit.url();
  },

  async screenshot({ file, of = 'window', full = false }) {
    await (of === 'window' ? page : visit).screenshot({ path: file, fullPage: full });
  },

  // browserErrors returns the errors and warnings that were not returned before.
  browserErrors: () => browserErrors.splice(0),
});
