// The script of the web page: an SDK in a browser. The origin of the page is neither
// the server's nor Clerk's. A sign-in leaves the page and returns to it.
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

// connect returns the revision. If the user must sign in first, it returns null and
// sets signInAt. It does not leave the page itself, because its result would be lost.
async function connect(url) {
  window.session = session(url);
  try {
    return await window.session.open();
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    return null;
  }
}

// resume completes connect after the sign-in.
async function resume() {
  window.session = session(sessionStorage.getItem('url'));
  await window.session.finish(new URLSearchParams(location.search));
  return await window.session.open();
}

Object.assign(window, { connect, resume });
document.body.textContent = 'ready';
