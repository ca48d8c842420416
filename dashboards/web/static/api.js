// Calls of the HTTP API. Every call names the workspace of the page, so that it stays the same when another tab has switched.

const workspace = document.body.dataset.workspace;

// Problem is an error that the API answered, as application/problem+json (RFC 9457).
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || `The server answered with status ${status}.`);
    this.status = status;
    this.errors = Array.isArray(document.errors) ? document.errors : [];
  }
}

// call returns the JSON of the answer, or null if the answer has none.
export async function call(method, path, { body, headers, signal } = {}) {
  const options = { method, signal, credentials: 'same-origin', headers: { Accept: 'application/json', 'X-Millrace-Workspace': workspace, ...headers } };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers['Content-Type'] = 'application/json';
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, { detail: 'The server cannot be reached. Check your connection and try again.' });
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  let document = {};
  try { document = await response.json(); } catch { /* not from the API: the status has to do */ }
  if (response.status === 401) document = { detail: 'You are signed out. Reload the page to sign in again.' };
  throw new Problem(response.status, document);
}

// page returns parsed HTML that the server renders for scripts, or null if the server answers with an error or a redirect.
export async function page(path) {
  const response = await fetch(path, { credentials: 'same-origin', headers: { 'X-Millrace-Workspace': workspace } });
  if (!response.ok || response.redirected) return null;
  return new DOMParser().parseFromString(await response.text(), 'text/html');
}

const numbers = new Intl.NumberFormat('en-US');

// number writes 1234567 as 1,234,567, like the server.
export const number = (n) => numbers.format(n);

export const plural = (n, one, many) => `${number(n)} ${n === 1 ? one : many}`;

// size writes a number of bytes like the server.
export function size(n) {
  if (n < 1000) return `${n} B`;
  let unit = -1;
  do { n /= 1000; unit++; } while (n >= 999.5 && unit < 4);
  return `${n < 9.95 ? n.toFixed(1) : n.toFixed(0)} ${'kMGTP'[unit]}B`;
}

// element makes an element with a class. Its children are elements or texts.
export function element(name, className, ...children) {
  const e = document.createElement(name);
  if (className) e.className = className;
  e.append(...children);
  return e;
}
