// Provider is the OAuth provider that the TypeScript SDKs need from an application:
// it stores the registration, the tokens and the verifier, and opens the
// authorization URL. It runs in Node and in web pages. store has the methods of the
// Web Storage API.
export class Provider {
  constructor({ store, redirectUrl, redirect }) {
    Object.assign(this, { store, redirectUrl, redirect });
  }

  get clientMetadata() {
    return {
      client_name: 'Gatehouse end-to-end',
      redirect_uris: [this.redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  }

  state() { return crypto.randomUUID(); }

  clientInformation() { return this.#get('client'); }
  saveClientInformation(client) { this.#set('client', client); }
  tokens() { return this.#get('tokens'); }
  saveTokens(tokens) { this.#set('tokens', tokens); }
  codeVerifier() { return this.#get('verifier'); }
  saveCodeVerifier(verifier) { this.#set('verifier', verifier); }
  discoveryState() { return this.#get('discovery'); }
  saveDiscoveryState(state) { this.#set('discovery', state); }

  redirectToAuthorization(url) {
    return this.redirect(new URL(url));
  }

  invalidateCredentials(scope) {
    const all = ['client', 'tokens', 'verifier', 'discovery'];
    for (const name of scope === 'all' ? all : [scope]) this.store.removeItem(name);
  }

  #get(name) {
    return JSON.parse(this.store.getItem(name) ?? 'null') ?? undefined;
  }

  #set(name, value) {
    this.store.setItem(name, JSON.stringify(value));
  }
}
