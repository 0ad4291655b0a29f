// The page: the SDK in a browser, every request from an origin that is neither
// the server's nor the Clerk's. Signing in leaves the page and comes back to it.
import { Client, StreamableHTTPClientTransport as Transport, UnauthorizedError } from '@modelcontextprotocol/client';
import { Provider } from '../provider.mjs';
import { Session } from '../session.mjs';

const mode = new URLSearchParams(location.search).get('mode') ?? sessionStorage.getItem('mode');
const sdk = {
  Client, Transport, UnauthorizedError, takesParams: true,
  options: mode ? { versionNegotiation: { mode } } : {},
};

function session(url) {
  sessionStorage.setItem('url', url);
  if (mode) sessionStorage.setItem('mode', mode);
  const provider = new Provider({
    store: sessionStorage,
    redirectUrl: new URL('/callback', location.origin).href,
    redirect: (to) => { window.signInAt = to; },
  });
  return new Session(sdk, url, provider);
}

// connect returns the revision, or null when the person must sign in first, at
// signInAt: leaving the page now would take the answer along.
async function connect(url) {
  window.session = session(url);
  try {
    return await window.session.open();
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    return null;
  }
}

// resume goes on where connect left, after the sign-in.
async function resume() {
  window.session = session(sessionStorage.getItem('url'));
  await window.session.finish(new URLSearchParams(location.search));
  return await window.session.open();
}

Object.assign(window, { connect, resume });
document.body.textContent = 'ready';
