import { follow, getState } from './api.js';
import { copy } from './dom.js';
import { Panel } from './panel.js';
import { Runs } from './runs.js';

const byId = (id) => document.getElementById(id);

const panel = new Panel(byId('panel'), byId('result'));
const runs = new Runs({ list: byId('list'), empty: byId('empty'), announcement: byId('announcement') });

const refreshDelay = 60; // milliseconds

let boot; // identifies the process that served this page
let timer;

// refresh fetches and shows the state, once for several calls in a row.
function refresh() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    const state = await getState();
    boot ??= state.boot;
    if (state.boot !== boot) {
      location.reload(); // the program has restarted, so what is shown no longer exists
      return;
    }
    byId('endpoint').textContent = state.endpoint;
    byId('issuer').textContent = state.issuer;
    byId('command').textContent = `${state.program} call ${state.endpoint} whoami`;
    panel.show(state);
  }, refreshDelay);
}

function showConnection(text, connected) {
  byId('live').textContent = text;
  byId('live').classList.toggle('connected', connected);
}

byId('copy-command').addEventListener('click', (event) => copy(event.currentTarget, byId('command').textContent));
follow({
  steps(update) { runs.add(update); refresh(); },
  change: refresh,
  connected() { showConnection('live', true); refresh(); },
  disconnected() { showConnection('not running', false); },
});
