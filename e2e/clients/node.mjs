// Runs an SDK in Node. No browser opens the authorization URL: with a header, the
// local Clerk signs a user in without its pages. For other authorization servers,
// the environment variable SIGN_IN_URL is a URL to which the authorization URL is
// appended; it answers with the redirect that a browser would get.
import { runCommands } from './commands.mjs';
import { Provider } from './provider.mjs';
import { Session as TypeScriptSession } from './session.mjs';

const redirectUrl = 'http://127.0.0.1:53682/callback'; // without a listener; visit reads the redirect itself

export function drive(sdk, Session = TypeScriptSession) {
  let session;
  let who; // the user who signs in, and whether they consent
  let query; // of the redirect that ended the last authorization request

  async function visit(url) {
    const { user, consent } = who;
    const signIn = process.env.SIGN_IN_URL;
    const response = await fetch(signIn ? signIn + encodeURIComponent(url) : url, {
      redirect: 'manual',
      headers: { 'Localclerk-Sign-In': user, 'Localclerk-Consent': consent },
    });
    const location = response.headers.get('location');
    if (!location?.startsWith(redirectUrl)) {
      throw new Error(`the authorization endpoint answered ${response.status}: ${await response.text()}`);
    }
    query = new URL(location).searchParams;
  }

  // authorized does something, and does it again if the SDK first needs the user
  // to authorize it: it then has requested an authorization URL.
  async function authorized(action) {
    query = undefined;
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof sdk.UnauthorizedError) || !query) throw error;
      await session.finish(query);
      return await action();
    }
  }

  return runCommands({
    async connect(input) {
      who = input;
      const store = session?.provider.store ?? memory();
      const provider = new Provider({ store, redirectUrl, redirect: visit });
      session = new Session(sdk, input.url, provider);
      return await authorized(() => session.open());
    },
    become(input) { who = input; },
    tools: () => session.tools(),
    call: (input) => authorized(() => session.call(input)),
    forget: () => session.provider.invalidateCredentials('all'),
    close: () => session.close(),
  });
}

function memory() {
  const items = new Map();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => items.set(name, value),
    removeItem: (name) => items.delete(name),
  };
}
