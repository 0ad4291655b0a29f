import { follow, getState } from './api.js';
import { Check } from './check.js';
import { copy } from './dom.js';
import { Filter } from './filter.js';
import { Panel } from './panel.js';
import { Runs } from './runs.js';

const byId = (id) => document.getElementById(id);

const panel = new Panel(byId('panel'), byId('result'));
const runs = new Runs({ list: byId('list'), empty: byId('empty'), announcement: byId('announcement') });
const check = new Check({ start: byId('check-button'), summary: byId('check-summary'), report: byId('check-report') });
const filter = new Filter({
  runs, form: byId('filter'), text: byId('filter-text'), failed: byId('filter-failed'), count: byId('filter-count'), nothing: byId('nothing'),
});

const refreshDelay = 60; // milliseconds

let boot; // identifies the process that served this page
let timer;
let requests = 0; // for the state

// refresh fetches and shows the state, once for several calls in a row. Of responses that
// arrive in another order, it shows only that of the last request.
function refresh() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    requests++;
    const request = requests;
    let state;
    try {
      state = await getState();
    } catch (error) {
      panel.say(error.message, false);
      return;
    }
    if (request !== requests) return;
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
byId('clear').addEventListener('click', () => panel.do('clear', {}, 'Cleared'));
follow({
  steps(update) { runs.add(update); filter.apply(); refresh(); },
  change() { refresh(); check.outdated(); },
  clear() { runs.clear(); filter.apply(); },
  connected() { showConnection('live', true); refresh(); },
  disconnected() { showConnection('not running', false); },
});
