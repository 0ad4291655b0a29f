import { copyButton, el } from './dom.js';

const maxRuns = 100;
const openRuns = 3; // the newest runs; older ones are collapsed

const partyNames = { client: 'Client', browser: 'Browser', server: 'MCP server', clerk: 'Clerk' };
const lanes = { client: 1, browser: 1, server: 2, clerk: 3 };

// Runs shows sign-ins, the newest first, each with its steps.
export class Runs {
  constructor({ list, empty, announcement }) {
    Object.assign(this, { list, empty, announcement, byId: new Map() });
  }

  add({ steps, runs }) {
    if (runs.some(({ server }) => !server)) this.empty.hidden = true;
    const current = new Map(runs.map((run) => [run.id, run]));
    for (const step of steps) {
      this.#run(current.get(step.run) ?? { id: step.run, client: '', headline: '', began: step.time }).add(step);
    }
    for (const run of runs) this.byId.get(run.id)?.update(run);
    this.#announce(steps, current);
    this.#limit();
  }

  all() { return [...this.byId.values()]; }

  clear() {
    this.byId.clear();
    this.list.replaceChildren();
    this.empty.hidden = false;
  }

  // run returns the element of a run, which it adds if there is none.
  #run(run) {
    let shown = this.byId.get(run.id);
    if (!shown) {
      shown = new Run(run);
      this.byId.set(run.id, shown);
      this.list.prepend(shown.element);
    }
    return shown;
  }

  // announce has screen readers read one of several new steps: the last failure, or the last one.
  #announce(steps, runs) {
    const step = steps.findLast(({ outcome }) => outcome === 'failed') ?? steps.at(-1);
    if (!step) return;
    const run = runs.get(step.run);
    const more = steps.length > 1 ? `${steps.length} new steps. ` : '';
    this.announcement.textContent = `${more}${run?.client ?? ''}: ${step.title}, ${step.status}. ${step.why ?? ''} ${run?.headline ?? ''}`;
  }

  // limit collapses older runs and removes the oldest ones.
  #limit() {
    const newestFirst = [...this.byId.values()].sort((a, b) => b.id - a.id);
    for (const run of newestFirst.slice(openRuns)) run.collapse();
    for (const run of newestFirst.slice(maxRuns)) {
      run.element.remove();
      this.byId.delete(run.id);
    }
  }
}

// Run shows one sign-in.
class Run {
  constructor({ id, began }) {
    this.id = id;
    this.began = Date.parse(began);
    this.toggledByUser = false;
    this.words = []; // titles and paths of the steps
    this.name = el('span', { class: 'client' });
    this.headline = el('span', { class: 'headline' });
    this.time = el('time', { class: 'time', datetime: began }, new Date(began).toLocaleTimeString());
    this.steps = el('ol', { class: 'steps', 'aria-label': 'Steps' });
    this.body = el('div', { class: 'diagram', id: `run-${id}` },
      el('div', { class: 'lanes', 'aria-hidden': 'true' }, el('span', {}, 'Client'), el('span', {}, 'MCP server'), el('span', {}, 'Clerk')),
      this.steps);
    this.toggle = el('button', { type: 'button', 'aria-expanded': 'true', 'aria-controls': `run-${id}`, onclick: () => { this.toggledByUser = true; this.open(this.body.hidden); } },
      el('span', { class: 'dot', 'aria-hidden': 'true' }), this.name, this.headline, this.time);
    this.element = el('article', { class: 'run' }, el('h3', {}, this.toggle), this.body);
  }

  open(yes) {
    this.body.hidden = !yes;
    this.toggle.setAttribute('aria-expanded', String(yes));
  }

  // text returns what the filter searches, in lower case.
  text() {
    return `${this.name.textContent} ${this.headline.textContent} ${this.words.join(' ')}`.toLowerCase();
  }

  // failed reports whether the run has stopped, or one of its steps has failed.
  failed() {
    return this.element.dataset.outcome === 'failed' || this.steps.querySelector('.step.failed') !== null;
  }

  // collapse hides the steps, unless the user has opened or closed the run.
  collapse() {
    if (!this.toggledByUser) this.open(false);
  }

  update({ client, headline, outcome, server, client_id: clientID }) {
    this.name.textContent = client;
    this.name.title = clientID ? `${client}, client_id ${clientID}` : client;
    this.headline.textContent = headline;
    this.element.dataset.outcome = outcome;
    if (server && outcome !== 'failed') this.collapse();
  }

  // add inserts a step by the time at which it began. Steps arrive in the order in which
  // they ended, and a request ends after those that it caused.
  add(step) {
    const began = Date.parse(step.time);
    const item = drawStep(step, began - this.began);
    item.dataset.began = began;
    this.words.push(step.title, step.spec, step.line, step.why ?? '');
    const earlier = [...this.steps.children].findLast((other) => Number(other.dataset.began) <= began);
    if (earlier) earlier.after(item);
    else this.steps.prepend(item);
  }
}

function drawStep(step, offset) {
  const id = `step-${step.id}`;
  const detail = el('div', { class: 'detail', id, hidden: true });
  const path = `${partyNames[step.from]} to ${partyNames[step.to]}`;
  const spec = step.spec ? el('span', { class: 'spec' }, step.spec) : '';
  const wide = lanes[step.from] === 1 && lanes[step.to] === 3; // the title has space for more
  const button = el('button', {
    type: 'button', class: 'bar', 'aria-expanded': 'false', 'aria-controls': id,
    onclick() {
      if (!detail.hasChildNodes()) detail.append(...drawDetail(step));
      detail.hidden = !detail.hidden;
      button.setAttribute('aria-expanded', String(!detail.hidden));
    },
  },
  el('span', { class: 'at' }, clock(offset)),
  el('span', { class: 'line-area' },
    el('span', { class: 'label' }, el('span', { class: 'path' }, `${path} `), el('b', {}, step.title), step.from === 'browser' ? el('span', { class: 'via' }, 'in the browser') : '', wide ? spec : ''),
    wide ? '' : spec,
    el('span', { class: 'arrow', 'aria-hidden': 'true' }),
    el('span', { class: 'back', 'aria-hidden': 'true' })),
  drawStatus(step));
  const item = el('li', { class: `step ${step.outcome} from-${lanes[step.from]} to-${lanes[step.to]}` }, button);
  if (step.why) {
    item.append(el('div', { class: 'why' },
      el('p', {}, el('strong', {}, step.why), step.effect ? ` ${step.effect}` : ''),
      step.do ? el('p', {}, step.do) : ''));
  }
  item.append(detail);
  return item;
}

// drawStatus returns the status of a step. Its color is that of the status, not of the step: an
// answer 200 can be what stops a client, and the first 401 is what starts a sign-in.
function drawStatus({ status, outcome }) {
  const failed = outcome === 'failed';
  const color = failed && (status >= 400 || !status) ? 'rejected' : (outcome === 'succeeded' && status < 400 ? 'answered' : '');
  return el('span', { class: `status ${color}` },
    status ? String(status) : '—', failed ? el('span', { class: 'visually-hidden' }, ' failed') : '');
}

// clock returns a time since the start of a run.
function clock(milliseconds) {
  return milliseconds < 60000 ? `${(milliseconds / 1000).toFixed(2)} s` : `${Math.round(milliseconds / 60000)} min`;
}

function drawDetail(step) {
  return [
    el('p', { class: 'purpose' }, step.spec ? el('b', {}, `${step.spec}. `) : '', step.purpose),
    el('div', { class: 'sides' },
      drawMessage('Request', step.line, step.request),
      drawMessage('Response', `${step.status || 'no complete response'}, after ${step.took.toFixed(1)} ms`, step.response)),
  ];
}

function drawMessage(name, line, { fields = [], body }) {
  const list = el('dl', {}, ...fields.map((field) => el('div', {}, el('dt', {}, field.name), el('dd', {}, field.value))));
  return el('section', { class: 'side', 'aria-label': name },
    el('h4', {}, name),
    el('p', { class: 'line' }, line),
    fields.length ? list : '',
    body ? el('div', { class: 'body' }, el('pre', { tabindex: '0', 'aria-label': `${name} body` }, body), copyButton(() => body)) : '');
}
