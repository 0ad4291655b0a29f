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
  let query;

  async function visit(url, { user, consent }) {
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

  return runCommands({
    async connect(input) {
      const store = session?.provider.store ?? memory();
      const provider = new Provider({ store, redirectUrl, redirect: (url) => visit(url, input) });
      session = new Session(sdk, input.url, provider);
      try {
        return await session.open();
      } catch (error) {
        if (!(error instanceof sdk.UnauthorizedError)) throw error;
        await session.finish(query);
        return await session.open();
      }
    },
    tools: () => session.tools(),
    call: (input) => session.call(input),
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
