import { follow, getState } from './api.js';
import { copy } from './dom.js';
import { Panel } from './panel.js';
import { Runs } from './runs.js';

const byId = (id) => document.getElementById(id);

const panel = new Panel(byId('panel'), byId('result'));
const runs = new Runs({ list: byId('list'), empty: byId('empty'), news: byId('news') });

let boot;
let waiting;

// refresh reads the state again, once for a burst of reasons.
function refresh() {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const state = await getState();
    boot ??= state.boot;
    if (state.boot !== boot) {
      location.reload(); // the program was started anew and knows nothing of what is shown
      return;
    }
    byId('endpoint').textContent = state.endpoint;
    byId('issuer').textContent = state.issuer;
    byId('command').textContent = `${state.program} call ${state.endpoint} whoami`;
    panel.show(state);
  }, 60);
}

function live(text, good) {
  byId('live').textContent = text;
  byId('live').classList.toggle('good', good);
}

byId('copy-command').addEventListener('click', (event) => copy(event.currentTarget, byId('command').textContent));
follow({
  steps(news) { runs.add(news); refresh(); },
  change: refresh,
  connected() { live('live', true); refresh(); },
  disconnected() { live('not running', false); },
});
