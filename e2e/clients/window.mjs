// A person with a browser, at the window of "gatehouse dev" and at the pages of
// its local Clerk. The first argument is the program of Chromium.
import { chromium } from 'playwright-core';
import { obey } from './commands.mjs';

const browser = await chromium.launch({ executablePath: process.argv[2], args: ['--no-sandbox'] });
const patience = 15000;
const complaints = [];
let clerk; // the origin of the local Clerk
let page; // the window
let visit; // the page of the local Clerk

async function newPage({ width = 1280, height = 900, scheme = 'light', motion = 'reduce' }) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, reducedMotion: motion });
  context.setDefaultTimeout(patience);
  const opened = await context.newPage();
  // A client's own page, where a sign-in ends, is not ours to judge.
  opened.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && message.location().url.startsWith(clerk)) complaints.push(message.text());
  });
  opened.on('pageerror', (error) => complaints.push(String(error)));
  return opened;
}

const newestRun = () => page.locator('article.run').first();

// clickAll clicks what matches until nothing does.
async function clickAll(selector) {
  const matching = newestRun().locator(selector);
  while (await matching.count() > 0) await matching.first().click();
}

await obey({
  async open({ url, ...look }) {
    await page?.context().close();
    clerk = new URL(url).origin;
    page = await newPage(look);
    await page.goto(url);
    await page.getByText('live', { exact: true }).waitFor();
  },

  // headline waits until the newest run says so.
  async headline({ text }) {
    await newestRun().locator('.headline', { hasText: text }).waitFor();
    return newestRun().locator('.headline').textContent();
  },

  // steps are the newest run's, as a screen reader hears them.
  steps: () => newestRun().locator('.step .bar').evaluateAll((bars) => bars.map((bar) => bar.innerText.replace(/\s+/g, ' ').trim())),

  titles: () => newestRun().locator('.step .label b').allTextContents(),

  why: () => newestRun().locator('.why').allTextContents(),

  runs: () => page.locator('article.run .headline').allTextContents(),

  text: () => page.evaluate(() => document.documentElement.outerHTML),

  // details opens every step of the newest run.
  async details() {
    await clickAll('.bar[aria-expanded="false"]');
    return newestRun().locator('.detail').allInnerTexts();
  },

  close: () => clickAll('.bar[aria-expanded="true"]'),

  // keyboard opens the first step of the newest run with keys alone.
  async keyboard() {
    await page.locator('.skip').focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    const first = newestRun().locator('.bar').first();
    const opened = await first.getAttribute('aria-expanded');
    await page.keyboard.press('Enter');
    return { opened, closed: await first.getAttribute('aria-expanded') };
  },

  // unnamed are the controls that a screen reader has no name for.
  unnamed: () => page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea')]
    .filter((control) => !(control.innerText || control.textContent || '').trim() && !control.labels?.length && !control.getAttribute('aria-label'))
    .map((control) => control.outerHTML)),

  overflows: () => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth),

  async section({ name }) { await page.locator('summary', { has: page.getByRole('heading', { name, exact: true }) }).click(); },

  async press({ name, role = 'button' }) { await page.getByRole(role, { name, exact: true }).click(); },

  // turned waits until a switch is on or off.
  async turned({ name, on }) { await page.getByRole('switch', { name, exact: true, checked: on }).waitFor(); },

  async said({ text }) { await page.locator('#result', { hasText: text }).waitFor(); },

  async choose({ label, value }) { await page.getByLabel(label, { exact: true }).selectOption(value); },

  async minted() {
    await page.locator('#minted').waitFor();
    return page.locator('#minted').inputValue();
  },

  live: () => page.locator('#announcement').textContent(),

  // visit follows a link of a client to the local Clerk.
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

  // decide presses a button of the consent page and returns where that leads.
  async decide({ button, organization }) {
    if (organization) await visit.getByLabel('Organization').selectOption({ label: organization });
    await visit.getByRole('button', { name: button }).click();
    await visit.waitForURL((url) => url.searchParams.has('code') || url.searchParams.has('error'));
    return visit.url();
  },

  async picture({ file, of = 'window', full = false }) {
    await (of === 'window' ? page : visit).screenshot({ path: file, fullPage: full });
  },

  complaints: () => complaints.splice(0),
});
