// A recipe evaluation that was filed from this browser downloads by itself, once, when it has succeeded.

const keyOf = (workspace) => `millrace.downloads:${workspace}`;
const most = 50;

function read(workspace) {
  try {
    const ids = JSON.parse(localStorage.getItem(keyOf(workspace)) ?? '[]');
    return Array.isArray(ids) ? ids : [];
  } catch {
    return [];
  }
}

function write(workspace, ids) {
  try {
    localStorage.setItem(keyOf(workspace), JSON.stringify(ids.slice(-most)));
  } catch { /* no room, or forbidden: people download by themselves */ }
}

// alone runs f while no other tab runs it.
const alone = (workspace, f) => (navigator.locks ? navigator.locks.request(keyOf(workspace), f) : f());

export const remember = (workspace, id) => write(workspace, [...read(workspace).filter((i) => i !== id), id]);

export const awaited = (workspace) => read(workspace);

// take removes an export from the list, and returns whether it was there. Only one tab gets true.
export function take(workspace, id) {
  return alone(workspace, () => {
    const ids = read(workspace);
    if (!ids.includes(id)) return false;
    write(workspace, ids.filter((i) => i !== id));
    return true;
  });
}

// download starts the download of an export.
export function download(id) {
  const link = document.createElement('a');
  link.href = `/v1/exports/${encodeURIComponent(id)}/download`;
  link.download = '';
  document.body.append(link);
  link.click();
  link.remove();
}
