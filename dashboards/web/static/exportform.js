// The export form. The server renders it and makes the request of its fields; this shows the parts that change with the fields.
import { announce } from './app.js';
import { plural } from './api.js';
import { Selection } from './selection.js';

const form = document.getElementById('export-form');
const byId = (id) => document.getElementById(id);
const { workspace } = document.body.dataset;
const DELAY = 400; // milliseconds after the last key
let version = 0; // of the fields
let timer = 0;
let trial = null; // the request in progress

// fields returns the fields as a form sends them. With an empty value, most are as if they were not there.
function fields(more = {}) {
  const all = new URLSearchParams();
  for (const [name, value] of new FormData(form)) all.append(name, value);
  for (const [name, value] of Object.entries(more)) all.set(name, value);
  return all;
}

// ask returns the form as the server renders it. An error has the server's words.
async function ask(path, options) {
  const response = await fetch(path, { credentials: 'same-origin', headers: { 'X-Millrace-Workspace': workspace }, ...options });
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  if (response.ok && page.getElementById('export-form')) return page;
  throw new Error(page.querySelector('[data-testid=message]')?.textContent.trim() || `The server answered with status ${response.status}.`);
}

// show replaces parts of the page with those of another. The focus stays where it was.
function show(page, ...ids) {
  for (const id of ids) {
    const here = byId(id);
    const focused = here.contains(document.activeElement) ? document.activeElement : null;
    const at = focused?.selectionStart ?? null; // null for what is not a text
    const scrolled = [...here.querySelectorAll('.boxed')].map((box) => box.scrollTop);
    here.replaceChildren(...[...page.getElementById(id).childNodes].map((node) => document.adoptNode(node)));
    [...here.querySelectorAll('.boxed')].forEach((box, i) => { box.scrollTop = scrolled[i] ?? 0; });
    if (!focused) continue;
    const again = byId(focused.id) ?? here.querySelector(`[name="${CSS.escape(focused.name)}"][value="${CSS.escape(focused.value)}"]`);
    again?.focus({ preventScroll: true });
    if (at !== null) again?.setSelectionRange(at, at);
  }
}

function count(state, text) {
  const box = byId('export-count');
  box.dataset.state = state;
  delete box.dataset.records;
  if (text !== undefined) box.textContent = text;
}

// preview shows what the request would come to.
async function preview() {
  trial?.abort();
  trial = new AbortController();
  const { signal } = trial;
  try {
    const page = await ask('/history/export/preview', { method: 'POST', body: fields(), signal });
    show(page, 'export-preview', 'export-same', 'export-count');
    const { state, records } = page.getElementById('export-count').dataset;
    count(state);
    if (records) byId('export-count').dataset.records = records;
  } catch (error) {
    if (signal.aborted) return;
    count('refused', error instanceof TypeError ? 'The server cannot be reached. Check your connection and try again.' : error.message);
  }
  byId('export-preview').classList.remove('is-old');
}

function changed(after = DELAY) {
  version++;
  clearTimeout(timer);
  trial?.abort();
  count('waiting', 'Counting…');
  byId('export-preview').classList.add('is-old');
  timer = setTimeout(preview, after);
}

// renew shows the fields that a purpose, a target or a proposal asks for.
async function renew(more) {
  for (;;) {
    const asked = version;
    const query = fields(more);
    query.delete('run_ids'); // may be too many for an address
    let page;
    try {
      page = await ask(`/history/export?${query}`);
    } catch (error) {
      count('refused', error.message);
      return;
    }
    if (asked !== version) continue; // they have changed meanwhile
    show(page, 'export-fields');
    pick(query.get('take') === 'picked');
    find();
    reveal();
    return changed(0);
  }
}

// pick offers the runs that are checked on the page of the app, and chooses them.
function pick(choose) {
  const ids = form.dataset.app ? new Selection(workspace, form.elements.source.value, form.dataset.app).ids : [];
  if (ids.length === 0) return;
  form.elements.run_ids.value = ids.join(',');
  byId('export-picked').hidden = false;
  byId('export-picked-text').textContent = plural(ids.length, 'checked run', 'checked runs');
  if (choose) form.querySelector('[name=take][value=picked]').checked = true;
}

// find hides the targets that do not have the text of the search.
function find() {
  const wanted = byId('x-find').value.trim().toLowerCase();
  let shown = 0;
  for (const target of form.querySelectorAll('.target')) {
    target.hidden = wanted !== '' && !target.textContent.toLowerCase().includes(wanted);
    if (!target.hidden) shown++;
  }
  form.querySelector('.targets [data-none]').hidden = shown > 0;
}

// reveal scrolls the list of targets, and nothing else, to the chosen one.
function reveal() {
  const chosen = form.querySelector('.target:has(:checked)');
  const list = chosen.parentElement;
  const top = chosen.offsetTop - list.offsetTop;
  if (top < list.scrollTop || top + chosen.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top - 4;
}

form.addEventListener('input', (event) => {
  if (event.target.id === 'x-find') return find();
  if (event.target.matches('[data-renews]') && event.target.type !== 'text') return;
  changed(event.target.matches('[type=radio], [type=checkbox], select') ? 0 : DELAY);
});
form.addEventListener('change', (event) => {
  if (!event.target.matches('[data-renews]') && event.target.name !== 'nodes') return;
  version++;
  clearTimeout(timer);
  trial?.abort();
  count('waiting', 'Counting…');
  renew();
});
form.addEventListener('keydown', (event) => { // Enter files nothing by accident
  if (event.key === 'Enter' && event.target.matches('input:not([type=radio], [type=checkbox])')) event.preventDefault();
});
form.addEventListener('submit', (event) => {
  const button = event.submitter;
  if (button?.name === 'apply') {
    event.preventDefault();
    announce(button.textContent);
    version++;
    renew({ apply: button.value });
    return;
  }
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = 'true';
  byId('export-proceed').textContent = 'Filing…';
});
addEventListener('pageshow', () => { delete form.dataset.sent; byId('export-proceed').textContent = 'Proceed'; });

pick(!new URLSearchParams(location.search).has('form') && location.search !== '');
find();
reveal();
if (byId('export-count').dataset.state === 'waiting') changed(0);
