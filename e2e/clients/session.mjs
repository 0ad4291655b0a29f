// answerElicitation is the answer of the user to every question.
const answerElicitation = () => ({ action: 'accept', content: { value: 'blue' } });

// Session is a session of a TypeScript SDK; their major versions differ only in
// names. sdk has Client, Transport, UnauthorizedError and the options of Client. If it has
// elicitation, which is what setRequestHandler takes for it, the client answers questions.
export class Session {
  constructor(sdk, url, provider) {
    Object.assign(this, { sdk, url: new URL(url), provider });
  }

  // open connects with the tokens of the provider. Without valid tokens it passes
  // the authorization URL to the provider and throws UnauthorizedError.
  async open() {
    const options = { ...this.sdk.options, ...(this.sdk.elicitation && { capabilities: { elicitation: {} } }) };
    this.client = new this.sdk.Client({ name: 'gatehouse-e2e', version: '1.0.0' }, options);
    if (this.sdk.elicitation) this.client.setRequestHandler(this.sdk.elicitation, answerElicitation);
    this.transport = this.#newTransport();
    await this.client.connect(this.transport);
    return this.client.getNegotiatedProtocolVersion?.() ?? this.revision;
  }

  // finish completes the sign-in with the query of the redirect URI.
  async finish(query) {
    const transport = this.transport ?? this.#newTransport();
    if (this.sdk.takesParams) {
      await transport.finishAuth(query);
      return;
    }
    if (query.has('error')) throw new Error(`${query.get('error')}: ${query.get('error_description')}`);
    await transport.finishAuth(query.get('code'));
  }

  async tools() {
    const { tools } = await this.client.listTools();
    return tools.map(({ name }) => name);
  }

  // call calls a tool. seen is a URL that gets a POST request for each progress event, when the
  // event arrives (optional). If cancels is true, the first event cancels the call.
  call({ tool, input, seen, cancels }) {
    const controller = new AbortController();
    const options = (seen || cancels) && {
      signal: controller.signal,
      onprogress: ({ progress }) => (cancels ? controller.abort('cancelled') : fetch(`${seen}?event=${progress}`, { method: 'POST' })),
    };
    const params = { name: tool, arguments: input };
    return this.sdk.takesParams ? this.client.callTool(params, options) : this.client.callTool(params, undefined, options);
  }

  async close() {
    await this.transport?.terminateSession?.();
    await this.client?.close();
  }

  #newTransport() {
    const transport = new this.sdk.Transport(this.url, { authProvider: this.provider });
    this.#recordRevision(transport);
    return transport;
  }

  // recordRevision stores the revision from the response to initialize, because
  // version 1 of the SDK does not return it.
  #recordRevision(transport) {
    let receive;
    Object.defineProperty(transport, 'onmessage', {
      get: () => receive && ((message, extra) => {
        this.revision ??= message.result?.protocolVersion;
        return receive(message, extra);
      }),
      set: (handler) => { receive = handler; },
    });
  }
}
