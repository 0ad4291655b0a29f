// Chromium, and the person before it.
import { chromium } from 'playwright-core';

const stepTime = 90_000; // ms for each thing that is waited for

export async function openBrowser(executablePath) {
  const browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
  const newContext = browser.newContext.bind(browser);
  browser.newContext = async (options) => {
    const context = await newContext({ viewport: { width: 1280, height: 900 }, ...options });
    context.setDefaultTimeout(stepTime);
    return context;
  };
  return browser;
}

// signInOnPages picks the user on the local Clerk's first page, and presses
// Allow or Deny on the second, where an organization may be chosen by its name.
export async function signInOnPages(page, { name, consent, organization, picture = async () => {} }) {
  const user = page.getByRole('button', { name });
  await user.waitFor();
  await picture('sign-in');
  await user.click();
  const answer = page.getByRole('button', { name: consent === 'deny' ? 'Deny' : 'Allow', exact: true });
  await answer.waitFor();
  if (organization) {
    const options = await page.getByLabel('Organization').locator('option').allTextContents();
    const label = options.find((option) => option.startsWith(organization));
    await page.getByLabel('Organization').selectOption({ label });
  }
  await picture('consent');
  await answer.click();
}
