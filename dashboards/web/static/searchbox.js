// The search box completes the keys of filters and their values, as a combobox: arrow keys choose, Enter or Tab takes, Esc closes.
import { element, call } from './api.js';

const box = document.getElementById('f-search');
const list = document.getElementById('f-search-list');
const keys = JSON.parse(document.getElementById('search-keys').textContent);
const { source, app } = box.form.elements;
const known = new Map(); // answers by their address
let options = []; // {text, about}: what the term under the cursor becomes
let current = -1;
let asked = 0;

for (const [name, value] of Object.entries({ role: 'combobox', 'aria-expanded': 'false', 'aria-controls': list.id, 'aria-autocomplete': 'list' })) {
  box.setAttribute(name, value);
}

// term is the part of the box that ends at the cursor. Its value may have an open quotation mark.
function term() {
  const before = box.value.slice(0, box.selectionStart);
  const terms = before.matchAll(/\s*([A-Za-z_][\w.~/-]*(?=[:<>]))?(:|[<>]=?)?("(?:[^"\\]|\\[^])*"?|[^\s"]*)/gy);
  const last = [...terms].find((t) => t.index + t[0].length === before.length); // which may be empty
  const text = last[0].trimStart();
  const [start, value] = [before.length - text.length, last[3].replace(/^"/, '').replace(/\\(["\\])/g, '$1')];
  return last[1] ? { start, key: last[1], operator: last[2], value } : { start, key: text, operator: '', value: '' };
}

const quoted = (value) => (/[\s"\\]/.test(value) || value === '' ? `"${value.replace(/["\\]/g, '\\$&')}"` : value);
const contains = (text, part) => text.toLowerCase().includes(part.toLowerCase());

async function ask(key, name, part) {
  const path = `/history/values?${new URLSearchParams({ source: source.value, app: app.value, key, name, part })}`;
  if (!known.has(path)) known.set(path, call('GET', path).then((answer) => answer.values ?? [], () => []));
  return known.get(path);
}

// complete returns what a term can become.
async function complete({ key, operator, value }) {
  const [name, label] = [key.split('.')[0].toLowerCase(), key.split('.').slice(1).join('.')];
  const dotted = key.includes('.');
  const found = keys.find((k) => k.name === name + (dotted ? '.' : ''));
  if (operator) {
    if (!found || found.operators) return [];
    const values = found.values ?? (found.asked ? await ask(name, label, value) : []);
    return values.filter((v) => contains(v, value)).map((v) => ({ text: key + operator + quoted(v), about: '' }));
  }
  if (dotted && found) { // the names of labels or scores
    const names = await ask(name, '', label);
    return names.filter((n) => /^[\w.~/-]+$/.test(n)).map((n) => ({ text: `${name}.${n}${found.operators ? '>' : ':'}`, about: '' }));
  }
  return keys.filter((k) => k.name.startsWith(name)).map((k) => (
    { text: k.name + (k.name.endsWith('.') ? '' : k.operators || ':'), about: `${k.about}, such as ${k.example}` }));
}

function close() {
  asked++;
  [options, current] = [[], -1];
  list.hidden = true;
  list.replaceChildren();
  box.setAttribute('aria-expanded', 'false');
  box.removeAttribute('aria-activedescendant');
}

async function open() {
  const ticket = ++asked;
  const found = await complete(term());
  if (ticket !== asked || document.activeElement !== box) return;
  if (found.length === 0) { close(); return; }
  [options, current] = [found, -1];
  list.replaceChildren(...found.map((option, i) => {
    const item = element('li', '', element('span', 'mono', option.text));
    if (option.about) item.append(' ', element('span', 'dim', option.about));
    item.id = `completion-${i}`;
    item.setAttribute('role', 'option');
    item.setAttribute('aria-selected', 'false');
    item.addEventListener('mousedown', (event) => event.preventDefault()); // the box keeps the focus
    item.addEventListener('click', () => take(option));
    return item;
  }));
  list.hidden = false;
  box.setAttribute('aria-expanded', 'true');
  box.removeAttribute('aria-activedescendant');
}

function choose(i) {
  current = (i + options.length) % options.length;
  for (const [j, item] of [...list.children].entries()) item.setAttribute('aria-selected', String(j === current));
  list.children[current].scrollIntoView({ block: 'nearest' });
  box.setAttribute('aria-activedescendant', list.children[current].id);
}

// take puts an option in the place of the term. After a value the next term begins; after a key, its value.
function take({ text }) {
  const { start } = term();
  const more = /[:>.]$/.test(text) ? '' : ' ';
  box.setRangeText(text + more, start, box.selectionStart, 'end');
  close();
  if (!more) open();
}

box.addEventListener('input', open);
box.addEventListener('click', open);
box.addEventListener('blur', close);
box.addEventListener('keydown', (event) => {
  if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  const shown = !list.hidden;
  if (event.key === 'ArrowDown' && !shown) open();
  else if (event.key === 'ArrowDown') choose(current + 1);
  else if (event.key === 'ArrowUp' && shown) choose(current < 0 ? -1 : current - 1);
  else if ((event.key === 'Enter' || event.key === 'Tab' && !event.shiftKey) && shown && current >= 0) take(options[current]);
  else if (event.key === 'Escape' && shown) close();
  else return;
  event.preventDefault();
});
