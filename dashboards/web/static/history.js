// The History page: checkboxes, and summaries of the filters.
import './charts.js';
import './cursor.js';
import './searchbox.js';
import { plural } from './api.js';
import { Selection } from './selection.js';

for (const summary of document.querySelectorAll('[data-summary]')) { // a summary names the chosen values
  const box = document.getElementById(summary.dataset.summary);
  box.addEventListener('change', () => {
    summary.textContent = [...box.querySelectorAll(':checked')].map((c) => c.value).join(', ') || 'Any';
  });
}

document.getElementById('filters').addEventListener('formdata', (event) => { // empty fields are left out of the address
  for (const [key, value] of [...event.formData]) if (value === '') event.formData.delete(key);
});

const data = document.getElementById('export-data');
if (data) start(JSON.parse(data.textContent));

function start(config) {
  const selection = new Selection(config.workspace, config.source, config.app);
  const boxes = [...document.querySelectorAll('[data-run-check]')];
  const whole = document.getElementById('select-page');
  const bar = document.getElementById('selection');
  const count = bar.querySelector('[data-testid=selection-count]');

  const show = () => {
    for (const box of boxes) {
      box.checked = selection.has(box.value);
      box.closest('tr').classList.toggle('is-picked', box.checked);
    }
    const checked = boxes.filter((box) => box.checked).length;
    if (whole) {
      whole.checked = boxes.length > 0 && checked === boxes.length;
      whole.indeterminate = checked > 0 && checked < boxes.length;
    }
    bar.hidden = selection.size === 0;
    document.body.classList.toggle('has-selection', !bar.hidden);
    count.textContent = `${plural(selection.size, 'run', 'runs')} selected`;
  };

  let last = null; // a click with Shift also checks the rows since the last click
  for (const box of boxes) {
    box.addEventListener('click', (event) => {
      const from = boxes.indexOf(last);
      const to = boxes.indexOf(box);
      const range = event.shiftKey && from >= 0 ? boxes.slice(Math.min(from, to), Math.max(from, to) + 1) : [box];
      selection.set(range.map((b) => b.value), box.checked);
      last = box;
    });
  }
  whole?.addEventListener('change', () => selection.set(boxes.map((b) => b.value), whole.checked));
  document.getElementById('selection-clear').addEventListener('click', () => {
    selection.clear();
    (whole ?? document.getElementById('main')).focus();
  });
  selection.addEventListener('change', show);
  addEventListener('pageshow', (event) => event.persisted && selection.reload());
  show();
}
