// The page of an export: follows it while it runs, cancels it, deletes its files, and finds texts on the page.
import { announce } from './app.js';
import { number, page, size } from './api.js';
import { act, note } from './exportactions.js';

const ended = new Set(['succeeded', 'failed', 'cancelled']);
const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const shown = () => document.getElementById('export');
const { id, name } = shown().dataset;

function setField(field, text) {
  const e = shown().querySelector(`[data-field="${field}"]`);
  if (e && e.textContent !== text) e.textContent = text;
}

// state is what decides about the parts of the page. Where it changes, the page is rendered again.
const state = (e) => [e.status, Boolean(e.cancelling), Boolean(e.retrying), Boolean(e.rows_planned || e.windows_planned), Boolean(e.rows_done)].join();
let current = '';

// refresh shows the page as the server renders it now. The focus stays in it.
async function refresh() {
  const fresh = (await page(location.pathname + location.search))?.getElementById('export');
  if (!fresh) return;
  const focused = shown().contains(document.activeElement);
  shown().replaceWith(document.adoptNode(fresh));
  if (focused) document.getElementById('main').focus({ preventScroll: true });
}

// The pace is that of the last seconds. It is not told before it is known.
const PACE = 15000;
const LEAST = 2000;
let seen = [];

function pace(rows, planned) {
  const now = performance.now();
  seen = [...seen.filter((s) => now - s.at <= PACE), { at: now, rows }];
  const took = now - seen[0].at;
  const rate = (rows - seen[0].rows) / took * 1000;
  if (took < LEAST || !(rate > 0)) return;
  setField('rate', `${number(Math.max(1, Math.floor(rate)))} rows/s`);
  setField('left', planned > rows ? `about ${span((planned - rows) / rate)} left` : '');
}

function span(seconds) {
  const s = Math.ceil(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor(s % 3600 / 60)).padStart(2, '0')} min`;
}

async function progress(event) {
  const before = current;
  current = state(event);
  if (before && before !== current) await refresh();
  const percent = Math.min(100, Math.floor(event.percent_done ?? 0));
  const bar = shown().querySelector('[data-field=bar]');
  if (bar && percent >= bar.value) {
    bar.value = percent;
    setField('percent', `${percent}%`);
  }
  setField('records', number(event.records ?? 0));
  setField('size', size(event.bytes ?? 0));
  if (event.rows_planned) setField('rows', `${number(event.rows_done ?? 0)} of ${number(event.rows_planned)} rows`);
  const dropped = Object.values(event.dropped ?? {}).reduce((sum, n) => sum + n, 0);
  if (dropped) setField('dropped', `${number(dropped)} left out`);
  setField('note', note(event));
  pace(event.rows_done ?? 0, event.rows_planned ?? 0);
}

// finish shows how the export ended. The server that renders the page may learn of the end a moment after it.
async function finish() {
  for (let i = 0; i < 10; i++) {
    await refresh();
    if (ended.has(shown().dataset.status)) break;
    await wait(300 * (i + 1));
  }
  announce(`Export ${name}: ${shown().dataset.status}`);
}

let stream = null;

function follow() {
  if (stream || ended.has(shown().dataset.status)) return;
  stream = new EventSource(`/v1/exports/${encodeURIComponent(id)}/events`);
  stream.addEventListener('progress', (event) => progress(JSON.parse(event.data)));
  stream.addEventListener('completion', () => {
    stream.close();
    finish();
  });
}

document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-do]');
  if (button && await act(button, { id, name })) await refresh();
});

document.addEventListener('input', (event) => { // finds a text among the records of the page
  if (event.target.id !== 'find') return;
  const text = event.target.value.trim().toLowerCase();
  let found = 0;
  for (const record of document.querySelectorAll('[data-testid=record]')) {
    record.hidden = !record.textContent.toLowerCase().includes(text);
    if (!record.hidden) found++;
  }
  announce(`${number(found)} of the records of this page have it`);
});

addEventListener('pagehide', () => {
  stream?.close();
  stream = null;
});
addEventListener('pageshow', (event) => event.persisted && follow());

follow();
