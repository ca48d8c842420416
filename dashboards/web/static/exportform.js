// The form that files an export.
import { call, element, number, plural, Problem } from './api.js';
import { remember } from './downloads.js';
import { MOST } from './selection.js';

const byId = (id) => document.getElementById(id);

// fieldOf returns the field of the form that an error belongs to, from the JSON pointer of the error. null means that the error is shown
// above the form.
function fieldOf(pointer = '') {
  const field = pointer.replace(/^\/?body\//, '/').split('/')[1];
  return { name: 'name', purpose: 'purpose', nodes: 'nodes', target: 'target', options: 'target', format: 'format', selection: 'limit' }[field] ?? null;
}

export class ExportForm {
  #config;
  #selection;
  #dialog = byId('export-dialog');
  #form = byId('export-form');
  #key = '';
  #until = ''; // the end of a time range that has none: it stays the same for every try of a form
  #nodes = null; // of the app; null = not yet loaded
  #timer = 0;
  #trial = null; // the dry run in progress

  constructor(config, selection) {
    this.#config = config;
    this.#selection = selection;
    this.#form.addEventListener('input', () => this.#changed());
    this.#form.elements.purpose.addEventListener('change', () => this.#purposeChanged());
    this.#form.elements.target.addEventListener('change', () => this.#targetChanged());
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#proceed();
    });
    this.#dialog.addEventListener('close', () => this.#trial?.abort());
  }

  open() {
    this.#key = newKey();
    this.#until = new Date(Date.parse(this.#config.now) + performance.now()).toISOString();
    this.#clearErrors();
    this.#showScope();
    this.#purposeChanged();
    this.#dialog.showModal();
    this.#form.elements.name.focus();
    this.#changed();
  }

  get #purpose() { return this.#config.purposes.find((p) => p.value === this.#form.elements.purpose.value); }

  get #target() { return this.#purpose.targets.find((t) => t.value === this.#form.elements.target.value); }

  get #picked() { return this.#selection.size > 0; }

  // #showScope shows which runs would be exported.
  #showScope() {
    const { applied } = this.#config;
    const scope = byId('export-scope');
    byId('export-limit-field').hidden = this.#picked;
    if (this.#picked) {
      scope.replaceChildren(element('p', '', element('b', 'num', plural(this.#selection.size, 'checked run', 'checked runs')),
        '. The filters of the page do not apply to them. Runs that have not ended are left out.'));
      if (this.#selection.size > MOST) {
        scope.append(element('p', 'error', `An export takes ${number(MOST)} checked runs at most. Clear some, or clear all and use filters and a limit.`));
      }
      return;
    }
    if (applied.length) {
      const ended = this.#config.filters.statuses ? '' : ' Runs that have not ended are left out.';
      scope.replaceChildren(element('p', '', `Runs that pass the filters of the page.${ended}`), element('ul', 'chips', ...applied.map((a) => element('li', 'chip', a))));
    } else {
      scope.replaceChildren(element('p', '', 'The newest runs that have ended, of all versions. No filter of the page is on, and no run is checked.'));
    }
    byId('export-limit-hint').textContent = this.#window()
      ? 'How many at most, newest first, in the time range: runs, or node runs of each chosen node. Leave it empty to take all of them.'
      : 'How many at most, newest first: runs, or node runs of each chosen node.';
  }

  // #blocked returns why nothing can be filed, whatever the fields contain.
  get #blocked() { return this.#selection.size > MOST; }

  #purposeChanged() {
    const purpose = this.#purpose;
    byId('export-purpose-about').textContent = purpose.about;
    const box = byId('export-nodes');
    box.hidden = purpose.nodes === 'none';
    byId('export-nodes-need').textContent = purpose.nodes === 'required' ? '(at least one)' : '(optional)';
    byId('export-nodes-hint').textContent = purpose.nodes === 'required' ? '' : 'With none, whole runs are exported.';
    const target = this.#form.elements.target;
    const before = target.value;
    target.replaceChildren(...purpose.targets.map((t, i) => new Option(i === 0 ? `${t.value} (default)` : t.value, t.value)));
    if (purpose.targets.some((t) => t.value === before)) target.value = before;
    this.#targetChanged();
    if (!box.hidden) this.#loadNodes();
  }

  #targetChanged() {
    const target = this.#target;
    const format = this.#form.elements.format;
    const before = format.value;
    format.replaceChildren(...target.formats.map((f) => new Option(f, f)));
    if (target.formats.includes(before)) format.value = before;
    const about = byId('export-target-about');
    about.replaceChildren(element('p', '', element('b', '', 'Read by '), target.reader), element('p', '', element('b', '', 'A record: '), target.shape));
    if (target.rules.length) {
      about.append(element('details', 'doc', element('summary', '', element('span', '', 'Rules')), element('ul', 'rules', ...target.rules.map((r) => element('li', '', r)))));
    }
  }

  async #loadNodes() {
    if (this.#nodes) return;
    const list = byId('export-nodes-list');
    list.replaceChildren(element('p', 'hint', 'Looking for the nodes of the app…'));
    try {
      const query = new URLSearchParams({ source: this.#config.source });
      const answer = await call('GET', `/v1/apps/${encodeURIComponent(this.#config.app)}/nodes?${query}`);
      this.#nodes = Array.isArray(answer) ? answer : answer.nodes ?? [];
    } catch (error) {
      const again = element('button', 'button small', 'Try again');
      again.type = 'button';
      again.addEventListener('click', () => this.#loadNodes());
      list.replaceChildren(element('p', 'error', `The nodes of the app are not known: ${error.message} `), again);
      return;
    }
    if (!this.#nodes.length) {
      list.replaceChildren(element('p', 'hint', 'No run of this app has sent node runs, so that only purposes about whole runs are possible.'));
      return;
    }
    list.replaceChildren(...this.#nodes.map((node) => {
      const box = document.createElement('input');
      Object.assign(box, { type: 'checkbox', name: 'nodes', value: node.node_id });
      box.dataset.testid = 'export-node';
      const about = [node.node_type, plural(node.node_runs ?? 0, 'run', 'runs')].filter(Boolean).join(' · ');
      return element('label', 'check', box, element('span', '', node.node_name || node.node_id, ' ', element('span', 'dim', about)));
    }));
    this.#changed();
  }

  // #window returns the time range for the request, with both ends, or null if there is none.
  #window() {
    const { from, to } = this.#config;
    if (!from && !to) return null;
    return { by: 'started_at', from: from ?? '1970-01-01T00:00:00Z', to: to ?? this.#until };
  }

  // request returns the request for the API.
  request() {
    const { elements } = this.#form;
    const { config, purpose } = { config: this.#config, purpose: this.#purpose };
    const request = {
      name: elements.name.value.trim() || config.name, purpose: purpose.value, source: config.source, app_id: config.app,
      target: elements.target.value, format: elements.format.value,
    };
    if (this.#picked) {
      request.selection = { run_ids: this.#selection.ids };
    } else {
      request.selection = {};
      const window = this.#window();
      if (window) request.selection.window = window;
      if (elements.limit.value !== '') request.selection.limit = Number(elements.limit.value);
      if (Object.keys(config.filters).length) request.filters = config.filters;
    }
    if (purpose.nodes !== 'none') {
      const nodes = [...this.#form.querySelectorAll('[name=nodes]:checked')].map((n) => n.value);
      if (nodes.length) request.nodes = nodes;
    }
    return request;
  }

  // #mistakes returns the mistakes that need no answer of the server, by field.
  #mistakes(request) {
    const found = [];
    if (this.#purpose.nodes === 'required' && !request.nodes) found.push(['nodes', 'Choose one node at least.']);
    const { limit } = request.selection;
    const text = this.#form.elements.limit;
    if (!this.#picked) {
      if (text.validity.badInput || (limit !== undefined && (!Number.isInteger(limit) || limit < 1))) found.push(['limit', 'Give a whole number, 1 or more.']);
      else if (limit === undefined && !request.selection.window) found.push(['limit', 'Give a limit, or choose a time range on the page.']);
    }
    return found;
  }

  #changed() {
    this.#clearErrors();
    clearTimeout(this.#timer);
    this.#trial?.abort();
    byId('export-proceed').disabled = this.#blocked;
    if (this.#blocked) {
      this.#count('refused', 'Too many runs are checked.');
      return;
    }
    const mistake = this.#mistakes(this.request())[0];
    if (mistake) {
      this.#count('waiting', mistake[1]);
      return;
    }
    this.#count('waiting', 'Counting…');
    this.#timer = setTimeout(() => this.#try(), 400);
  }

  async #try() {
    const trial = new AbortController();
    this.#trial = trial;
    try {
      const answer = await call('POST', '/v1/exports/dry-run', { body: this.request(), signal: trial.signal });
      if (!trial.signal.aborted) this.#showTrial(answer);
    } catch (error) {
      if (trial.signal.aborted) return;
      this.#count('refused', 'Nothing can be counted.');
      this.#showProblem(error, false);
    }
  }

  #count(state, ...content) {
    const count = byId('export-count');
    count.dataset.state = state;
    delete count.dataset.records;
    count.replaceChildren(...content);
    byId('export-dropped').replaceChildren();
    byId('export-lines').hidden = true;
  }

  #showTrial(answer) {
    const rows = answer.rows ?? answer.rows_planned ?? 0;
    const read = answer.rows_read ?? rows;
    const what = this.request().nodes ? ['node run', 'node runs'] : ['run', 'runs'];
    const text = read < rows
      ? ` of the newest ${number(read)} of ${plural(rows, ...what)}`
      : ` from ${plural(rows, ...what)}`;
    this.#count('done', element('b', 'num', plural(answer.records, 'record', 'records')), text);
    byId('export-count').dataset.records = answer.records;
    const notes = Object.entries(answer.dropped ?? {}).map(([reason, n]) => element('li', '', element('b', 'num', number(n)), ' left out: ', element('code', '', reason)));
    for (const w of answer.warnings ?? []) notes.push(element('li', '', element('b', '', 'Warning: '), w.message || w.code));
    byId('export-dropped').replaceChildren(...(notes.length ? [element('ul', 'reasons plain', ...notes)] : []));
    const lines = answer.lines ?? [];
    const box = byId('export-lines');
    box.hidden = lines.length === 0;
    box.lastElementChild.replaceChildren(...lines.map((line) => {
      const pre = element('pre', 'line', typeof line === 'string' ? line.trim() : JSON.stringify(line));
      pre.tabIndex = 0;
      return pre;
    }));
  }

  #clearErrors() {
    byId('export-error').hidden = true;
    for (const place of this.#form.querySelectorAll('[data-error]')) {
      place.hidden = true;
      this.#control(place.dataset.error)?.removeAttribute('aria-invalid');
    }
  }

  #control(field) { return field === 'nodes' ? null : byId(`export-${field}`); }

  // #showErrors shows each error at its field, and the others above the form. Then it moves the focus to the first.
  #showErrors(errors, focus) {
    const top = [];
    let first = null;
    for (const [field, text] of errors) {
      const place = field && this.#form.querySelector(`[data-error="${field}"]`);
      if (!place || place.closest('.field').hidden) {
        top.push(text);
        continue;
      }
      place.textContent = place.hidden ? text : `${place.textContent} ${text}`;
      place.hidden = false;
      this.#control(field)?.setAttribute('aria-invalid', 'true');
      first ??= this.#control(field) ?? place.closest('.field').querySelector('input');
    }
    const box = byId('export-error');
    box.hidden = top.length === 0;
    box.replaceChildren(...top.map((t) => element('p', '', t)));
    if (focus) (top.length ? box : first)?.focus();
  }

  #showProblem(error, focus) {
    const errors = error instanceof Problem && error.errors.length
      ? error.errors.map((e) => [fieldOf(e.pointer), fieldOf(e.pointer) || !e.pointer ? e.detail : `${e.pointer}: ${e.detail}`])
      : [[null, error.message]];
    this.#showErrors(errors, focus);
  }

  async #proceed() {
    const button = byId('export-proceed');
    if (this.#blocked || button.disabled) return;
    this.#clearErrors();
    const request = this.request();
    const mistakes = this.#mistakes(request);
    if (mistakes.length) {
      this.#showErrors(mistakes, true);
      return;
    }
    button.disabled = true;
    button.textContent = 'Filing…';
    try {
      const filed = await call('POST', '/v1/exports', { body: request, headers: { 'Idempotency-Key': this.#key } });
      if (request.purpose === 'recipe_evaluation') remember(this.#config.workspace, filed.export_id);
      location.assign(`/exports#${filed.export_id}`);
    } catch (error) {
      if (error instanceof Problem && error.status >= 400 && error.status < 500) this.#key = newKey(); // the next request will be another one
      this.#showProblem(error, true);
    } finally {
      button.disabled = this.#blocked;
      button.textContent = 'Proceed';
    }
  }
}

// newKey returns a random key. It does not use randomUUID, which exists only on secure origins.
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');
}
