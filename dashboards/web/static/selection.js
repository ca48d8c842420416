// The checked runs of one app of one workspace, in this tab. They stay checked while people turn pages and change filters.

// MOST is the number of runs that a request may name.
export const MOST = 10000;

export class Selection extends EventTarget {
  #key;
  #ids;

  constructor(workspace, source, app) {
    super();
    this.#key = `millrace.selection:${workspace}:${source}:${app}`;
    this.#ids = new Set(this.#read());
  }

  #read() {
    try {
      const ids = JSON.parse(sessionStorage.getItem(this.#key) ?? '[]');
      return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
    } catch {
      return [];
    }
  }

  // reload reads the checked runs again. The browser may show a page from its cache, with an old state.
  reload() {
    this.#ids = new Set(this.#read());
    this.dispatchEvent(new Event('change'));
  }

  get size() { return this.#ids.size; }

  get ids() { return [...this.#ids]; }

  has(id) { return this.#ids.has(id); }

  set(ids, on) {
    for (const id of ids) on ? this.#ids.add(id) : this.#ids.delete(id);
    this.#save();
  }

  clear() {
    this.#ids.clear();
    this.#save();
  }

  #save() {
    try {
      if (this.#ids.size) sessionStorage.setItem(this.#key, JSON.stringify(this.ids));
      else sessionStorage.removeItem(this.#key);
    } catch { /* no room, or forbidden: it lasts as long as the page */ }
    this.dispatchEvent(new Event('change'));
  }
}
