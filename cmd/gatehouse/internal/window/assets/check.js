import { post } from './api.js';
import { copyButton, el } from './dom.js';

const button = { idle: 'Check the set-up', running: 'Checking…', again: 'Check again' };

// Check runs the checks of "gatehouse doctor" and shows their report.
export class Check {
  constructor({ start, summary, report }) {
    Object.assign(this, { start, summary, report, running: false });
    start.addEventListener('click', () => this.run());
  }

  // run makes the checks. The button keeps the focus, so it is not disabled meanwhile.
  async run() {
    if (this.running) return;
    this.running = true;
    this.start.textContent = button.running;
    this.start.setAttribute('aria-disabled', 'true');
    this.summary.textContent = 'Checking…';
    try {
      this.show(await post('check', {}));
    } catch (error) {
      this.hide();
      this.summary.textContent = `The check failed: ${error.message}`;
    }
    this.running = false;
    this.start.removeAttribute('aria-disabled');
    this.start.textContent = button.again;
  }

  show(check) {
    this.summary.textContent = `${summarize(check)}, at ${new Date(check.time).toLocaleTimeString()}`;
    this.summary.dataset.outcome = worst(check.findings);
    this.report.replaceChildren(...drawReport(check), el('p', { class: 'report-end' },
      el('span', {}, 'The same in a terminal, with more options: ', el('code', {}, check.command)),
      el('span', { class: 'inline' }, copyButton(() => check.command), el('button', { type: 'button', class: 'small', id: 'check-hide', onclick: () => { this.hide(); this.start.focus(); } }, 'Hide'))));
    this.report.hidden = false;
    this.shown = true;
  }

  hide() {
    this.shown = false;
    this.report.hidden = true;
    this.report.replaceChildren();
    this.summary.textContent = '';
    delete this.summary.dataset.outcome;
    this.start.textContent = button.idle;
  }

  // outdated says that settings have changed since the check.
  outdated() {
    const note = ' Settings or faults have changed since then.';
    if (this.shown && !this.running && !this.summary.textContent.endsWith(note)) this.summary.textContent += `.${note}`;
  }
}

const count = (findings, level) => findings.filter((finding) => finding.level === level).length;
const plural = (n, noun) => `${n} ${noun}${n === 1 ? '' : 's'}`;

function worst(findings) {
  return ['fault', 'warning'].find((level) => count(findings, level)) ?? 'ok';
}

function summarize({ findings }) {
  const [faults, warnings, passed, unchecked] = ['fault', 'warning', 'ok', 'unchecked'].map((level) => count(findings, level));
  const problems = [faults && plural(faults, 'fault'), warnings && plural(warnings, 'warning')].filter(Boolean).join(', ');
  return `${problems || 'No problem found'}; ${plural(passed, 'check')} passed${unchecked ? `, ${unchecked} unchecked` : ''}`;
}

// drawReport begins with what to fix first: later faults are often its consequences.
function drawReport({ findings, first, clients }) {
  const others = findings.filter(({ level }, index) => index !== first && ['fault', 'warning'].includes(level));
  others.sort((a, b) => (a.level === b.level ? 0 : a.level === 'fault' ? -1 : 1));
  const parts = [];
  if (first >= 0) {
    parts.push(el('h3', {}, findings[first].level === 'fault' ? 'First fix this' : 'Look at this first'), drawProblem(findings[first]));
  }
  if (others.length) parts.push(el('h3', {}, 'Then'), ...others.map(drawProblem));
  parts.push(
    group('check-clients', 'Clients', clients.length, [drawClients(clients)], true),
    group('check-unchecked', 'Unchecked', count(findings, 'unchecked'), [drawUnchecked(findings)]),
    group('check-passed', 'Passed', count(findings, 'ok'), [drawPassed(findings)]));
  return parts;
}

function drawProblem({ id, level, title, evidence, consequence, fix, here }) {
  const rows = [['Seen', evidence], ['Effect', consequence], ['Fix', fix], ['Here', here]].filter(([, text]) => text);
  return el('article', { class: 'finding', 'data-level': level },
    el('h4', {}, el('span', { class: 'level', 'data-level': level }, level), el('span', {}, title), el('code', { class: 'identifier' }, id)),
    el('dl', {}, ...rows.map(([name, text]) => el('div', {}, el('dt', {}, name), el('dd', {}, text)))));
}

function group(id, title, size, children, open = false) {
  if (!size) return '';
  return el('details', { class: 'group', id, open }, el('summary', {}, el('h3', {}, title), el('span', { class: 'count' }, String(size))), ...children);
}

const verdicts = { 'will sign in': 'ok', 'will not sign in': 'fault', unknown: 'unchecked' };

// drawClients puts clients with the same verdict for the same reason into one row.
function drawClients(clients) {
  const rows = merge(clients, ({ verdict, why }) => `${verdict}\n${why}`);
  const order = Object.keys(verdicts);
  rows.sort(([a], [b]) => order.indexOf(a.verdict) - order.indexOf(b.verdict));
  return el('ul', { class: 'verdicts' }, ...rows.map((row) => el('li', {},
    el('span', { class: 'level', 'data-level': verdicts[row[0].verdict] }, row[0].verdict),
    el('span', {}, el('b', {}, row.map(({ name }) => name).join(', ')), row[0].why ? el('span', { class: 'soft' }, row[0].why) : ''))));
}

// drawUnchecked puts checks that were not made for the same reason into one row.
function drawUnchecked(findings) {
  const rows = merge(findings.filter(({ level }) => level === 'unchecked'), ({ evidence, fix }) => `${evidence}\n${fix}`);
  return el('ul', { class: 'checked' }, ...rows.map((row) => el('li', {},
    el('span', {}, row.map(({ title }) => title).join(', ')),
    el('span', { class: 'soft' }, [row[0].evidence, row[0].fix].filter(Boolean).join('; ')))));
}

function drawPassed(findings) {
  return el('ul', { class: 'checked' }, ...findings.filter(({ level }) => level === 'ok').map(({ title, evidence }) => el('li', {},
    el('span', {}, title), el('span', { class: 'soft' }, evidence))));
}

// merge returns the items in lists of those that have the same key, in the order of their first ones.
function merge(items, key) {
  const lists = new Map();
  for (const item of items) lists.set(key(item), [...(lists.get(key(item)) ?? []), item]);
  return [...lists.values()];
}
