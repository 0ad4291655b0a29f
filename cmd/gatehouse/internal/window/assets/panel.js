import { post } from './api.js';
import { ago, copyButton, el, span } from './dom.js';

const messageTime = 8000; // milliseconds

// Panel shows and changes the local Clerk. A section is redrawn when what it shows changes,
// unless the user is editing a text in it.
export class Panel {
  constructor(element, result) {
    this.result = result;
    this.sections = new Map();
    for (const [id, title, open] of [
      ['settings', 'Clerk settings', true], ['faults', 'Faults', true], ['mint', 'Mint a token', false],
      ['users', 'Users', false], ['clients', 'Clients', false], ['tokens', 'Valid tokens', false],
    ]) {
      const body = el('div', { class: 'section-body', id: `section-${id}` });
      const count = el('span', { class: 'count' });
      element.append(el('details', { class: 'section', open, id }, el('summary', {}, el('h3', {}, title), count), body));
      this.sections.set(id, { body, count });
    }
  }

  show(state) {
    this.state = state;
    this.#draw('settings', drawSettings(state, this.do));
    this.#draw('faults', drawFaults(state, this.do));
    if (!this.mintDrawn) { // once, because it shows the token that was minted
      this.#draw('mint', drawMint(state, this.do));
      this.mintDrawn = true;
    }
    this.#draw('users', drawUsers(state), state.users.length);
    this.#draw('clients', drawClients(state), state.clients.length);
    this.#draw('tokens', drawTokens(state), state.tokens.length);
  }

  // draw replaces the content of a section, if it differs: a press of a control that is replaced
  // before the mouse button is released would be lost. The control with the same ID keeps the focus.
  #draw(id, children, count) {
    const { body, count: counter } = this.sections.get(id);
    counter.textContent = count ?? '';
    const focused = body.contains(document.activeElement) ? document.activeElement : undefined;
    if (focused?.matches('input[type=text]') && focused.value !== focused.defaultValue) return;
    const opened = new Set([...body.querySelectorAll('details[open]')].map(({ id: key }) => key));
    const drawn = body.cloneNode(false);
    drawn.append(...children);
    for (const key of opened) drawn.querySelector(`#${CSS.escape(key)}`)?.setAttribute('open', '');
    if (drawn.isEqualNode(body)) return;
    body.replaceChildren(...drawn.childNodes);
    if (focused?.id) document.getElementById(focused.id)?.focus();
  }

  // do posts an action and shows a message: done on success, which may depend on the answer.
  do = async (name, body, done) => {
    try {
      const answer = await post(name, body);
      this.say(typeof done === 'function' ? done(answer) : done, true);
      return answer;
    } catch (error) {
      this.say(error.message, false);
      return undefined;
    }
  };

  say(text, succeeded) {
    this.result.textContent = text ?? '';
    this.result.classList.toggle('failure', !succeeded);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { this.result.textContent = ''; }, messageTime);
  }
}

// commonSettings often cause failed sign-ins. The others are under "More settings".
const commonSettings = ['dynamic_oauth_client_registration', 'oauth_jwt_access_tokens', 'aud_claim_enabled', 'organizations_enabled', 'default_scopes'];

function drawSettings({ settings }, act) {
  const row = (setting) => (Array.isArray(setting.value) ? scopesRow(setting, act) : switchRow(setting, act));
  const first = settings.filter(({ name }) => commonSettings.includes(name));
  const rest = settings.filter(({ name }) => !commonSettings.includes(name));
  return [...first.map(row), el('details', { class: 'more', id: 'more-settings' }, el('summary', {}, 'More settings'), ...rest.map(row))];
}

function switchRow({ name, label, note, value }, act) {
  const change = () => act('settings', { [name]: !value }, `${label} is now ${value ? 'off' : 'on'}`);
  return el('div', { class: 'row' },
    el('div', { class: 'row-text' },
      el('label', { for: `set-${name}` }, label), el('code', { class: 'identifier' }, name), el('p', { class: 'note', id: `note-${name}` }, note)),
    el('button', { type: 'button', role: 'switch', class: 'switch', id: `set-${name}`, 'aria-checked': String(value), 'aria-describedby': `note-${name}`, onclick: change },
      el('span', { class: 'visually-hidden' }, label)));
}

function scopesRow({ name, label, note, value }, act) {
  const input = el('input', { type: 'text', id: `set-${name}`, value: value.join(' '), spellcheck: 'false', autocomplete: 'off', 'aria-describedby': `note-${name}` });
  input.addEventListener('change', async () => {
    const text = input.value.trim();
    const answer = await act('settings', { [name]: text ? text.split(/\s+/) : [] }, `${label}: ${text || 'none'}`);
    if (answer) input.defaultValue = input.value;
  });
  return el('div', { class: 'row tall' },
    el('div', { class: 'row-text' }, el('label', { for: `set-${name}` }, label), el('code', { class: 'identifier' }, name)),
    input,
    el('p', { class: 'note', id: `note-${name}` }, note));
}

function drawFaults({ faults, settings, users }, act) {
  const dynamic = settings.find(({ name }) => name === 'dynamic_oauth_client_registration');
  const pressed = (id, text, on, click) => el('button', { type: 'button', id, class: 'fault', 'aria-pressed': String(on), onclick: click }, text);
  const status = (code, text) => pressed(`fault-${code}`, text, faults.status === code,
    () => act('faults', { status: faults.status === code ? 0 : code }, faults.status === code ? 'Clerk works again' : `Clerk answers ${code} to every request`));
  const rotate = (id, text, body) => el('button', { type: 'button', id, class: 'fault once', onclick: () => act('rotate', body, `Rotated the signing key: ${text.toLowerCase()}`) }, text);
  const who = el('select', { id: 'revoke-user' }, ...users.map((user) => el('option', { value: user.id }, user.name)));
  return [
    group('Errors',
      status(503, 'Outage (503)'), status(500, 'Error (500)'),
      pressed('fault-dcr', 'Registration off', !dynamic.value,
        () => act('settings', { [dynamic.name]: !dynamic.value }, `Dynamic client registration is now ${dynamic.value ? 'off' : 'on'}`))),
    el('div', { class: 'pair' },
      choice('latency', 'Response delay', faults.latency, ['0s', '500ms', '2s', '10s'], { '0s': 'none' }, (latency) => act('faults', { latency }, `Clerk delays each response by ${latency}`)),
      choice('clock_offset', 'Clerk’s clock is', faults.clock_offset, ['-1h0m0s', '-5m0s', '0s', '5m0s', '1h0m0s'],
        { '-1h0m0s': '1 h behind', '-5m0s': '5 min behind', '0s': 'correct', '5m0s': '5 min ahead', '1h0m0s': '1 h ahead' },
        (offset) => act('faults', { clock_offset: offset }, offset === '0s' ? 'Clerk’s clock is correct' : `Clerk’s clock is off by ${offset}`))),
    group('Rotate the signing key',
      rotate('rotate-new', 'New kid', {}), rotate('rotate-same', 'Same kid', { same_kid: true }), rotate('rotate-overlap', 'With overlap', { overlap: true })),
    el('div', { class: 'row tall' },
      el('label', { for: 'revoke-user' }, 'Revoke all tokens of'),
      el('div', { class: 'inline' }, who, el('button', { type: 'button', id: 'revoke', class: 'fault once', onclick: () => act('revoke', { user: who.value }, `Revoked the tokens of ${who.selectedOptions[0].textContent}`) }, 'Revoke')),
      el('p', { class: 'note' }, 'This revokes codes, refresh tokens and opaque tokens. JWTs stay valid until they expire, as at Clerk.')),
  ];
}

function group(legend, ...buttons) {
  return el('fieldset', {}, el('legend', {}, legend), el('div', { class: 'buttons' }, ...buttons));
}

function choice(id, label, value, options, words, change) {
  const choose = async () => { if (!await change(select.value)) select.value = value; };
  const select = el('select', { id, onchange: choose },
    ...(options.includes(value) ? options : [...options, value]).map((option) => el('option', { value: option, selected: option === value }, words[option] ?? option)));
  return el('div', { class: 'field' }, el('label', { for: id }, label), select);
}

const kinds = {
  oauth_token: 'OAuth access token', id_token: 'ID token', session_token: 'Session token',
  jwt_template: 'JWT template token', m2m_token: 'M2M token', api_key: 'API key',
};

function drawMint({ kinds: names, users, organizations, endpoint }, act) {
  const select = (id, label, options) => {
    const control = el('select', { id }, ...options.map(([value, text]) => el('option', { value }, text)));
    return [control, el('div', { class: 'field' }, el('label', { for: id }, label), control)];
  };
  const check = (id, label) => {
    const control = el('input', { type: 'checkbox', id });
    return [control, el('div', { class: 'check' }, control, el('label', { for: id }, label))];
  };
  const [kind, kindField] = select('mint-kind', 'Kind', names.map((name) => [name, kinds[name] ?? name]));
  const [user, userField] = select('mint-user', 'User', users.map(({ id, name }) => [id, name]));
  const [organization, organizationField] = select('mint-organization', 'Organization', [['', 'none'], ...organizations.map(({ id, name }) => [id, name])]);
  const [lifetime, lifetimeField] = select('mint-lifetime', 'Lifetime', [['0s', 'default'], ['1m', '1 minute'], ['-1h', 'expired 1 h ago']]);
  const [resource, resourceField] = check('mint-resource', 'for this server (aud)');
  const [opaque, opaqueField] = check('mint-opaque', 'opaque');
  const output = el('div', { class: 'minted', hidden: true });
  const mint = async () => {
    const answer = await act('mint', {
      kind: kind.value, user: user.value, organization: organization.value, lifetime: lifetime.value,
      resource: resource.checked ? endpoint : '', opaque: opaque.checked,
    }, 'Minted a token');
    if (!answer) return;
    const text = el('textarea', { readonly: true, rows: '4', 'aria-label': 'The token', id: 'minted' }, answer.token);
    const curl = `curl -i ${endpoint} -H 'Authorization: Bearer ${answer.token}' -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -d '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"curl","version":"1"}}}'`;
    output.replaceChildren(text, el('div', { class: 'buttons' }, copyButton(() => answer.token, 'Copy token'), copyButton(() => curl, 'Copy as curl')));
    output.hidden = false;
  };
  return [
    el('div', { class: 'pair' }, kindField, userField, organizationField, lifetimeField),
    el('div', { class: 'checks' }, resourceField, opaqueField),
    el('button', { type: 'button', class: 'primary', id: 'mint-button', onclick: mint }, 'Mint'),
    output,
  ];
}

function drawUsers({ users, organizations }) {
  return [
    el('ul', { class: 'cards' }, ...users.map((user) => el('li', {},
      el('span', { class: 'face', 'aria-hidden': 'true' }, user.name.split(/\s+/).map(([first]) => first).join('').slice(0, 2)),
      el('span', {}, el('b', {}, user.name), el('span', { class: 'soft' }, user.email || user.username, user.banned ? ', banned' : ''))))),
    ...organizations.map(({ name, slug, members }) => el('div', { class: 'org' },
      el('b', {}, name), el('code', { class: 'identifier' }, slug),
      el('ul', {}, ...members.map((member) => el('li', {}, `${member.name} `, el('code', { class: 'identifier' }, member.role)))))),
  ];
}

function drawClients({ clients, now }) {
  if (!clients.length) return [el('p', { class: 'note' }, 'None yet. A client registers itself at its first sign-in.')];
  return clients.map((client) => el('details', { class: 'item', id: `client-${client.id}` },
    el('summary', {}, el('b', {}, client.name || client.id), el('span', { class: 'soft' }, ago(Date.parse(client.created), Date.parse(now)))),
    facts({
      client_id: client.id, scope: client.scopes.join(' '), redirect_uris: client.redirect_uris.join('\n'),
      kind: `${client.dynamic ? 'registered itself' : 'pre-registered'}, ${client.public ? 'public' : 'with a secret'}`,
    })));
}

function drawTokens({ tokens, now }) {
  if (!tokens.length) return [el('p', { class: 'note' }, 'None yet. Access tokens that Clerk has issued are listed here until they expire.')];
  const current = Date.parse(now);
  return tokens.map((token, index) => el('details', { class: 'item', id: `token-${token.issued}-${index}` },
    el('summary', {}, el('b', {}, token.user), el('span', { class: 'soft' }, `${token.client_name || token.client_id}, ${token.form}, ${token.revoked ? 'revoked' : ago(Date.parse(token.issued), current)}`)),
    facts({ scope: token.scopes.join(' '), 'expires in': span(Date.parse(token.expires) - current), client_id: token.client_id, organization: token.organization, claims: token.claims })));
}

function facts(object) {
  return el('dl', { class: 'facts' }, ...Object.entries(object).filter(([, value]) => value).map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
}
