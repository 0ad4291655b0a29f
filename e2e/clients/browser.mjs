// Chromium, and the sign-in pages of the local Clerk.
import { chromium } from 'playwright-core';

const stepTime = 90_000; // longest wait for anything on a page, in milliseconds

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

// signInOnPages chooses the user on the sign-in page of the local Clerk, and
// Allow or Deny on the consent page. If organization is given, it chooses the
// organization of that name there. screenshot is called with a name on each page.
export async function signInOnPages(page, { name, consent, organization, screenshot = async () => {} }) {
  const user = page.getByRole('button', { name });
  await user.waitFor();
  await screenshot('sign-in');
  await user.click();
  const button = page.getByRole('button', { name: consent === 'deny' ? 'Deny' : 'Allow', exact: true });
  await button.waitFor();
  if (organization) {
    const options = await page.getByLabel('Organization').locator('option').allTextContents();
    const label = options.find((option) => option.startsWith(organization));
    await page.getByLabel('Organization').selectOption({ label });
  }
  await screenshot('consent');
  await button.click();
}
