// The cursor of the table of runs: keys move it, and a panel shows the run that it is on.
import { announce } from './app.js';
import { page } from './api.js';

const help = document.getElementById('keys-dialog');
const panel = document.getElementById('panel');
const rows = [...document.querySelectorAll('[data-testid=run-row]')];
let current = -1;
let asked = 0; // the last request of the panel: an answer to an older one is dropped

async function show(row) {
  const mine = ++asked;
  panel.hidden = false;
  document.body.classList.add('has-panel');
  panel.setAttribute('aria-busy', 'true');
  let fresh = null;
  try { fresh = await page(`/history/panel?id=${encodeURIComponent(row.dataset.run)}`); } catch { /* as no answer */ }
  if (mine !== asked) return;
  const run = fresh?.getElementById('panel-run');
  panel.removeAttribute('aria-busy');
  if (run) panel.replaceChildren(document.adoptNode(run));
  else panel.textContent = 'The run could not be read. Try again.';
}

// go moves the cursor to a row, and the focus with it if the keyboard moved it.
function go(to, focus) {
  if (to < 0 || to >= rows.length) return;
  rows[current]?.classList.remove('is-current');
  rows[current]?.removeAttribute('aria-current');
  current = to;
  const row = rows[current];
  row.classList.add('is-current');
  row.setAttribute('aria-current', 'true');
  row.scrollIntoView({ block: 'nearest' });
  if (focus) row.querySelector('[data-testid=run-link]').focus({ preventScroll: true });
  announce(`Run ${current + 1} of ${rows.length}`);
  show(row);
}

function close() {
  asked++;
  panel.hidden = true;
  document.body.classList.remove('has-panel');
  rows[current]?.querySelector('[data-testid=run-link]').focus({ preventScroll: true });
}

const keys = {
  j: () => go(current + 1, true),
  k: () => go(Math.max(0, current - 1), true),
  x: () => rows[current]?.querySelector('[data-run-check]')?.click(),
  e: () => document.querySelector('[data-open-export]')?.click(),
  o: () => rows[current]?.querySelector('[data-testid=run-link]').click(),
  '/': () => document.querySelector('[data-testid=filter-text]').focus(),
  '?': () => help?.showModal(),
};

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open], [popover]:popover-open')) return;
  if (event.target.closest('input:not([type=checkbox]), select, textarea')) return;
  if (event.key === 'Escape' && panel && !panel.hidden) close();
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

document.querySelector('[data-keys]')?.addEventListener('click', () => help.showModal());
for (const [i, row] of rows.entries()) {
  row.addEventListener('click', (event) => {
    if (!event.target.closest('a, input, button') && getSelection().isCollapsed) go(i, false);
  });
}
panel?.addEventListener('click', (event) => {
  const button = event.target.closest('[data-go]');
  if (button) go(current + Number(button.dataset.go), false);
  if (event.target.closest('[data-close-panel]')) close();
});
