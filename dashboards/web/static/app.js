// What every page needs: it places popovers, handles keys in menus, copies code and closes dialogs.

// place puts a popover below its button, inside the window. data-anchor="end" aligns their right edges.
function place(popover) {
  const button = document.querySelector(`[popovertarget="${CSS.escape(popover.id)}"]`);
  if (!button) return;
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = popover;
  const end = at.right - width;
  const left = popover.dataset.anchor === 'end' && end >= 8 ? end : at.left;
  const below = at.bottom + 4;
  const top = below + height > innerHeight - 8 && at.top - height - 4 > 8 ? at.top - height - 4 : below;
  popover.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
  popover.style.top = `${Math.max(8, top)}px`;
  popover.classList.add('is-placed');
}

const items = (menu) => [...menu.querySelectorAll('[role=menuitem]')];

// Popovers may come later than this script: the document listens for them.
document.addEventListener('toggle', (event) => {
  const popover = event.target;
  if (!popover.matches?.('[popover]')) return;
  const button = document.querySelector(`[popovertarget="${CSS.escape(popover.id)}"]`);
  button?.setAttribute('aria-expanded', String(event.newState === 'open'));
  if (event.newState !== 'open') {
    popover.classList.remove('is-placed');
    return;
  }
  place(popover);
  const first = popover.matches('.menu') ? items(popover)[0] : popover.querySelector('input:not([type=hidden])');
  first?.focus();
}, true);
document.addEventListener('keydown', (event) => {
  const menu = event.target.closest?.('[popover].menu');
  if (!menu) return;
  const all = items(menu);
  const here = all.indexOf(document.activeElement);
  const to = { ArrowDown: here + 1, ArrowUp: here - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
  if (event.key === 'Tab') menu.hidePopover();
  if (to === undefined) return;
  event.preventDefault();
  all[to % all.length].focus();
});
document.addEventListener('click', (event) => event.target.closest('[popover].menu [role=menuitem]')?.closest('[popover]').hidePopover());

const moved = () => {
  for (const open of document.querySelectorAll('[popover]:popover-open')) place(open);
};
addEventListener('resize', moved);
addEventListener('scroll', moved, { passive: true, capture: true });

document.addEventListener('keydown', (event) => { // the arrow key opens a menu, as people expect of a menu button
  const button = event.target.closest?.('[aria-haspopup=menu]');
  if (button && event.key === 'ArrowDown') {
    event.preventDefault();
    document.getElementById(button.getAttribute('popovertarget')).showPopover();
  }
});

document.addEventListener('click', async (event) => {
  event.target.closest('[data-close]')?.closest('dialog')?.close();
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  const code = button.parentElement.querySelector('code');
  const says = (word) => { // the label begins with the text that the button has
    button.ariaLabel = button.ariaLabel?.replace(button.textContent, word) ?? null;
    button.textContent = word;
  };
  try {
    await navigator.clipboard.writeText(code.textContent);
    says('Copied');
    announce('Copied');
  } catch { // browsers forbid the clipboard without a secure origin: select the code instead
    getSelection().selectAllChildren(code);
    says('Selected');
  }
  setTimeout(() => { says('Copy'); }, 2000);
});

// announce tells screen readers.
export function announce(text) {
  document.getElementById('announce').textContent = text;
}
