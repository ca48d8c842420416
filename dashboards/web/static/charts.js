// The charts of the app page: fetches those that the page did not wait for, and chooses a time by dragging.
import { announce } from './app.js';
import { page, plural } from './api.js';

const SVG = 'http://www.w3.org/2000/svg';
const LEAST = 6; // pixels: a shorter drag is a click

// fetchAway shows the charts that the server was still counting when it answered.
async function fetchAway(place) {
  let fresh = null;
  try { fresh = await page(place.dataset.away); } catch { /* as no answer */ }
  const charts = fresh?.getElementById('charts');
  if (!charts) {
    place.querySelector('[role=status]').textContent = 'The runs could not be counted in time. Choose a shorter time range.';
    return;
  }
  const numbers = fresh.querySelector('.chart-numbers');
  place.replaceWith(document.adoptNode(charts));
  document.querySelector('.chart-numbers.is-away')?.remove();
  if (numbers) charts.after(document.adoptNode(numbers));
  const total = document.getElementById('total');
  if (total) total.textContent = plural(Number(charts.dataset.total), 'run', 'runs');
  announce('The runs are counted');
  drag(charts);
}

// drag lets a chart choose a time. The bars between both ends are in it, whole.
function drag(charts) {
  const { origin, step, bars } = Object.fromEntries(Object.entries(charts.dataset).map(([key, value]) => [key, Number(value)]));
  for (const svg of charts.querySelectorAll('[data-chart]')) {
    let from = null;
    let mark = null;
    const at = (event) => {
      const box = svg.getBoundingClientRect();
      return Math.max(0, Math.min(bars - 1, Math.floor((event.clientX - box.left) / box.width * bars)));
    };
    svg.addEventListener('dragstart', (event) => event.preventDefault()); // of the link under the pointer
    svg.addEventListener('pointerdown', (event) => {
      if (event.button === 0) from = { bar: at(event), x: event.clientX };
    });
    svg.addEventListener('pointermove', (event) => {
      if (!from || (!mark && Math.abs(event.clientX - from.x) < LEAST)) return;
      if (!mark) {
        mark = svg.appendChild(document.createElementNS(SVG, 'rect'));
        mark.classList.add('drag');
        mark.setAttribute('height', '72');
        svg.setPointerCapture(event.pointerId);
      }
      const [first, last] = [from.bar, at(event)].sort((a, b) => a - b);
      mark.setAttribute('x', first * 1000 / bars);
      mark.setAttribute('width', (last - first + 1) * 1000 / bars);
    });
    svg.addEventListener('pointerup', (event) => {
      if (mark) {
        const [first, last] = [from.bar, at(event)].sort((a, b) => a - b);
        const address = new URL(location);
        for (const key of ['range', 'cursor', 'previous', 'charts']) address.searchParams.delete(key);
        address.searchParams.set('from', new Date(origin + first * step).toISOString());
        address.searchParams.set('to', new Date(origin + (last + 1) * step).toISOString());
        location.assign(address);
      }
      from = null;
    });
    svg.addEventListener('pointercancel', () => {
      mark?.remove();
      from = mark = null;
    });
    svg.addEventListener('click', (event) => { if (mark) event.preventDefault(); }, true);
  }
}

const charts = document.getElementById('charts');
if (charts?.dataset.away) fetchAway(charts);
else if (charts) drag(charts);
