// A session of one of the TypeScript SDKs, whose generations differ in names
// only. sdk has Client, Transport, UnauthorizedError and options for Client.
export class Session {
  constructor(sdk, url, provider) {
    Object.assign(this, { sdk, url: new URL(url), provider });
  }

  // open connects with what the provider holds. It throws UnauthorizedError
  // after the provider has been sent to the authorization URL.
  async open() {
    this.client = new this.sdk.Client({ name: 'gatehouse-e2e', version: '1.0.0' }, this.sdk.options);
    this.transport = this.#newTransport();
    await this.client.connect(this.transport);
    return this.client.getNegotiatedProtocolVersion?.() ?? this.initialized;
  }

  // finish takes the query of the redirect URI.
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

  call({ tool, input }) {
    return this.client.callTool({ name: tool, arguments: input });
  }

  async close() {
    await this.transport?.terminateSession?.();
    await this.client?.close();
  }

  #newTransport() {
    const transport = new this.sdk.Transport(this.url, { authProvider: this.provider });
    this.#watch(transport);
    return transport;
  }

  // watch reads the revision off the answer to initialize: version 1 of the SDK
  // does not tell it.
  #watch(transport) {
    let receive;
    Object.defineProperty(transport, 'onmessage', {
      get: () => receive && ((message, extra) => {
        this.initialized ??= message.result?.protocolVersion;
        return receive(message, extra);
      }),
      set: (handler) => { receive = handler; },
    });
  }
}
