// What is done to an export after a question: a cancel, or a delete of its files.
import { announce } from './app.js';
import { call } from './api.js';

const texts = {
  cancel: { title: 'Cancel this export?', text: 'stops and will have no data. It can be filed again.', yes: 'Cancel the export', method: 'POST', path: '/cancel', done: 'is being cancelled' },
  delete: { title: 'Delete this data set?', text: 'will lose its files, for everybody. The runs stay, and what was exported is still listed.', yes: 'Delete', method: 'DELETE', path: '', done: 'was deleted' },
};

function confirmed(what, name) {
  const dialog = document.getElementById('confirm-dialog');
  document.getElementById('confirm-title').textContent = what.title;
  document.getElementById('confirm-text').textContent = `“${name}” ${what.text}`;
  document.getElementById('confirm-yes').textContent = what.yes;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

// act does what a button with data-do asks for, if a person confirms it, and returns whether it was tried.
export async function act(button, { id, name }) {
  const what = texts[button.dataset.do];
  if (!await confirmed(what, name)) return false;
  const error = document.getElementById('page-error');
  error.hidden = true;
  button.disabled = true;
  try {
    await call(what.method, `/v1/exports/${encodeURIComponent(id)}${what.path}`);
    announce(`${name} ${what.done}`);
  } catch (problem) {
    error.textContent = `“${name}”: ${problem.message}`;
    error.hidden = false;
  }
  button.disabled = false;
  return true;
}

// note tells of a cancel, and of what is tried again, as the server does.
export const note = ({ cancelling, retrying }) => [
  cancelling && 'cancelling',
  retrying && `${retrying.stage} tries again, ${retrying.attempts} failed so far: ${retrying.message}`,
].filter(Boolean).join('; ');
