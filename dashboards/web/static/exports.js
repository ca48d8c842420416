// Dataset Exports: shows new exports, keeps the rows up to date, and cancels, deletes and downloads exports.
import { announce } from './app.js';
import { call, number, page, plural, Problem, size } from './api.js';
import { awaited, download, remember, take } from './downloads.js';
import { act, note } from './exportactions.js';

const { workspace } = document.body.dataset;
const ended = new Set(['succeeded', 'failed', 'cancelled']);
const MOST_STREAMS = 4; // a browser opens six connections to an HTTP/1.1 server, and the page needs some of them
const POLL = 3000;
const MOST_ROWS = 300; // of a page that stays open for days
const streams = new Map();

const rows = () => [...document.querySelectorAll('tbody[data-id]')];
const rowOf = (id) => rows().find((row) => row.dataset.id === id);
const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function setField(row, name, text) {
  const field = row.querySelector(`[data-field="${name}"]`);
  if (field && field.textContent !== text) field.textContent = text;
}

// progress updates the progress of a row in place.
function progress(id, event) {
  const row = rowOf(id);
  if (!row || ended.has(row.dataset.status)) return;
  const percent = Math.min(100, Math.floor(event.percent_done ?? 0));
  const bar = row.querySelector('[data-field=bar]');
  if (bar && percent >= bar.value) {
    bar.value = percent;
    setField(row, 'percent', `${percent}%`);
  }
  setField(row, 'records', number(event.records ?? 0));
  setField(row, 'size', size(event.bytes ?? 0));
  if (event.rows_planned) setField(row, 'rows', `${number(event.rows_done ?? 0)} of ${number(event.rows_planned)} rows`);
  setField(row, 'note', note(event));
  const badge = row.querySelector('.badge');
  if (event.status && badge && event.status !== row.dataset.status && !ended.has(event.status)) {
    row.dataset.status = event.status;
    badge.className = `badge is-${event.status}`;
    badge.lastChild.textContent = event.status;
  }
}

// refresh replaces a row with the row of the server. An open row stays open, and the focus stays in it.
async function refresh(id) {
  const fresh = (await page(`/exports/${encodeURIComponent(id)}/row`))?.querySelector('tbody[data-id]');
  const row = rowOf(id);
  if (!fresh || !row) return row;
  const open = row.querySelector('details')?.open;
  const focused = row.contains(document.activeElement);
  row.replaceWith(document.adoptNode(fresh));
  const details = fresh.querySelector('details');
  if (details && open) details.open = true;
  if (focused) fresh.focus({ preventScroll: true });
  return fresh;
}

// finish shows how an export ended. The server that renders the row may learn of the end a moment after this page.
async function finish(id) {
  close(id);
  let row = null;
  for (let i = 0; i < 10; i++) {
    row = await refresh(id);
    if (!row || ended.has(row.dataset.status)) break;
    await wait(300 * (i + 1));
  }
  if (row) announce(`Export ${row.dataset.name}: ${row.dataset.status}`);
  if (row?.dataset.status === 'succeeded') await downloadIfFiledHere(id);
  else if (row && ended.has(row.dataset.status)) await take(workspace, id);
  follow();
}

async function downloadIfFiledHere(id) {
  if (await take(workspace, id)) {
    download(id);
    announce('Your recipe evaluation is downloading.');
  }
}

function close(id) {
  streams.get(id)?.close();
  streams.delete(id);
}

const live = () => [...streams.values()].filter((stream) => !stream.dead).length;

// follow opens streams for running exports, as far as connections are left.
function follow() {
  for (const row of rows()) {
    const { id, status } = row.dataset;
    if (ended.has(status) || 'deleted' in row.dataset || streams.has(id) || live() >= MOST_STREAMS) continue;
    const stream = new EventSource(`/v1/exports/${encodeURIComponent(id)}/events`);
    streams.set(id, stream);
    stream.addEventListener('progress', (event) => progress(id, JSON.parse(event.data)));
    stream.addEventListener('completion', () => finish(id));
    stream.addEventListener('error', () => { // the browser reconnects by itself unless it gave up
      if (stream.readyState === EventSource.CLOSED) streams.set(id, { close() {}, dead: true });
    });
  }
}

// showCounts shows how many exports each tab has.
function showCounts(fresh) {
  for (const tab of document.querySelectorAll('#tabs a')) {
    const here = tab.querySelector('.count');
    const now = fresh.querySelector(`#tabs [data-testid=${tab.dataset.testid}] .count`);
    if (here && now && here.textContent !== now.textContent) here.textContent = now.textContent;
  }
}

// search shows the exports with a text in their names, as it is typed.
let searched = 0;
async function search(form) {
  const query = new URLSearchParams(new FormData(form));
  if (query.get('q') === '') query.delete('q');
  const address = query.size ? `/exports?${query}` : '/exports';
  const asked = ++searched;
  const fresh = await page(address);
  if (!fresh || asked !== searched) return;
  history.replaceState(null, '', address);
  for (const id of ['list', 'tabs']) document.getElementById(id).replaceChildren(...[...fresh.getElementById(id).childNodes].map((node) => document.adoptNode(node)));
  announce(plural(rows().length, 'export', 'exports'));
  follow();
}

// news shows exports that were filed since, where they belong in the list. The rows that are there stay as they are.
async function news() {
  const list = document.getElementById('list');
  const fresh = (await page(location.pathname + location.search))?.getElementById('list');
  if (fresh) showCounts(fresh.ownerDocument);
  const all = [...fresh?.querySelectorAll('tbody[data-id]') ?? []];
  const arrived = all.filter((row) => !rowOf(row.dataset.id)).length;
  if (arrived === 0) return;
  if (arrived < all.length && rows().length < MOST_ROWS) {
    let last = null;
    for (const row of all) {
      const here = rowOf(row.dataset.id);
      if (!here && last) last.after(document.adoptNode(row));
      else if (!here) rows()[0].before(document.adoptNode(row));
      last = here ?? row;
    }
  } else { // the first exports of a workspace, or so many that none of the rows is on this page any more
    const focused = list.contains(document.activeElement);
    list.replaceChildren(...[...fresh.childNodes].map((node) => document.adoptNode(node)));
    if (focused) rows()[0].focus({ preventScroll: true });
  }
  announce(plural(arrived, 'new export', 'new exports'));
  follow();
}

// poll asks for new exports, and for the running exports that have no stream.
async function poll() {
  for (;;) {
    await wait(POLL);
    if (document.hidden) continue;
    try { await news(); } catch { /* next time */ }
    for (const row of rows()) {
      const { id, status } = row.dataset;
      if (ended.has(status) || 'deleted' in row.dataset || (streams.has(id) && !streams.get(id).dead)) continue;
      try {
        const now = await call('GET', `/v1/exports/${encodeURIComponent(id)}`);
        if (ended.has(now.status)) await finish(id);
        else progress(id, now);
      } catch { /* next time */ }
    }
  }
}

// settle handles evaluations that ended while no page was open, and those that are not on this page.
async function settle() {
  for (const id of awaited(workspace)) {
    const row = rowOf(id);
    if (row && !ended.has(row.dataset.status)) continue; // its stream reports the end
    try {
      const now = await call('GET', `/v1/exports/${encodeURIComponent(id)}`);
      if (now.status === 'succeeded' && !now.deleted_at) await downloadIfFiledHere(id);
      else if (ended.has(now.status)) await take(workspace, id);
    } catch (error) {
      if (error instanceof Problem && error.status === 404 && id !== location.hash.slice(1)) await take(workspace, id);
    }
  }
}

// arrive scrolls to the export of the address. It may have been filed a moment ago.
async function arrive() {
  const id = decodeURIComponent(location.hash.slice(1));
  if (!id) return;
  for (let i = 0; i < 5 && !rowOf(id) && !location.search; i++) {
    if (i > 0) await wait(1000);
    try { await news(); } catch { /* next time */ }
  }
  const row = rowOf(id);
  if (!row) return;
  row.classList.add('is-target');
  row.scrollIntoView({ block: 'nearest' });
  row.focus({ preventScroll: true });
}

document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-do]');
  if (!button) return;
  const { id, name } = button.closest('tbody').dataset;
  if (!await act(button, { id, name })) return;
  await refresh(id);
  follow();
});

let typing = 0;
document.getElementById('search').addEventListener('input', (event) => {
  clearTimeout(typing);
  typing = setTimeout(search, 250, event.currentTarget);
});
document.getElementById('search').addEventListener('submit', (event) => {
  event.preventDefault();
  clearTimeout(typing);
  search(event.currentTarget);
});

addEventListener('pagehide', () => { for (const id of [...streams.keys()]) close(id); });
addEventListener('pageshow', (event) => event.persisted && follow());

// A recipe evaluation that a form filed without a script leads here with its id.
const filed = new URLSearchParams(location.search).get('filed');
if (filed && filed === location.hash.slice(1)) {
  remember(workspace, filed);
  history.replaceState(null, '', location.pathname + location.hash);
}

follow();
arrive();
settle();
poll();
