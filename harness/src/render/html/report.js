// What the page does not need to be read: copying, sorting, read-outs under a cross-hair, zoom, steps that light up.
'use strict';
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add('scripted');

  const copyButtons = () => all('[data-copy]').forEach((button) => {
    button.addEventListener('click', async () => {
      const target = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(target.textContent);
        button.textContent = 'copied';
      } catch {
        getSelection().selectAllChildren(target);
        button.textContent = 'selected';
      }
      setTimeout(() => { button.textContent = 'copy'; }, 1500);
    });
  });

  // Cells compare as numbers where both are, thousands apart or not.
  const compareCells = (a, b) => {
    const number = (text) => Number(text.replace(/[\s\u202f]/g, '').replace(/^key/, ''));
    const [x, y] = [number(a), number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };

  const sortTable = (table, column, header) => {
    const descending = header.getAttribute('aria-sort') === 'ascending';
    all('th', table).forEach((th) => th.removeAttribute('aria-sort'));
    header.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
    const body = table.tBodies[0];
    const text = (row) => row.cells[column].textContent.trim();
    const rows = [...body.rows].sort((a, b) => compareCells(text(a), text(b)));
    body.append(...(descending ? rows.reverse() : rows));
  };

  // A link to a failing key shows it, whichever tab or fold it is under.
  const failingKeys = () => {
    const show = () => {
      const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (!target) return;
      if (target.matches('details')) target.open = true;
      if (target.matches('.tabs > .pane')) {
        target.previousElementSibling.previousElementSibling.checked = true;
        target.scrollIntoView();
      }
    };
    addEventListener('hashchange', show);
    show();
  };

  const sorting = () => all('table[data-sort]').forEach((table) => {
    all('th', table).forEach((header, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = header.textContent;
      header.replaceChildren(button);
      button.addEventListener('click', () => sortTable(table, column, header));
    });
  });

  // A step, an arrow or a bar under the pointer lights what belongs to it.
  const lighting = () => all('.argument').forEach((argument) => {
    const parts = all('.bar, .arrow, .steps li', argument);
    const light = (step, ops) => {
      all('.core', argument).forEach((core) => core.classList.toggle('faded', step !== null));
      parts.forEach((part) => part.classList.toggle('lit',
        step !== null && (part.dataset.step === step || ops.includes(part.dataset.op))));
    };
    const off = () => light(null, []);
    all('.steps li', argument).forEach((item) => {
      const on = () => light(item.dataset.step, item.dataset.ops.split(' '));
      item.addEventListener('pointerenter', on);
      item.addEventListener('focus', on);
      item.addEventListener('pointerleave', off);
      item.addEventListener('blur', off);
    });
    all('.arrow', argument).forEach((arrow) => {
      const item = argument.querySelector(`.steps li[data-step="${arrow.dataset.step}"]`);
      if (!item) return;
      arrow.addEventListener('pointerenter', () => light(item.dataset.step, item.dataset.ops.split(' ')));
      arrow.addEventListener('pointerleave', off);
    });
  });

  const zooming = () => all('.figure').forEach((figure) => {
    let factor = 1;
    const apply = (next, anchor = 0.5) => {
      factor = Math.min(8, Math.max(1, next));
      all('.scroll', figure).forEach((box) => {
        const core = box.querySelector('svg');
        const at = (box.scrollLeft + anchor * box.clientWidth) / Math.max(1, box.scrollWidth);
        core.classList.toggle('zoomed', factor > 1);
        core.style.width = factor > 1 ? `${factor * 100}%` : '';
        box.scrollLeft = at * box.scrollWidth - anchor * box.clientWidth;
        box.style.cursor = factor > 1 ? 'grab' : '';
      });
    };
    all('[data-zoom]', figure).forEach((button) => button.addEventListener('click', () => {
      apply({ in: factor * 1.5, out: factor / 1.5, fit: 1 }[button.dataset.zoom]);
    }));
    all('.scroll', figure).forEach((box) => {
      box.addEventListener('wheel', (event) => {
        if (!event.ctrlKey) return;
        event.preventDefault();
        apply(factor * (event.deltaY < 0 ? 1.2 : 1 / 1.2), (event.clientX - box.getBoundingClientRect().left) / box.clientWidth);
      }, { passive: false });
      box.addEventListener('pointermove', (event) => {
        if (factor > 1 && event.buttons === 1 && event.pointerType === 'mouse') box.scrollLeft -= event.movementX;
      });
    });
  });

  // One line through all panels of a chart, its values in one place.
  const crossHair = (chart) => {
    const [from, width, share, ...series] = chart.dataset.bins.split('|');
    const [p50, p95, p99, ok, fail, info] = series.map((values) => values.split(' '));
    const status = document.querySelector('[data-readout]');
    const line = document.createElement('div');
    line.className = 'hair-line';
    chart.append(line);
    status.textContent = 'Point at the charts, or focus them and use ← →, to read values.';
    let bin = 0;
    const show = (next) => {
      bin = Math.min(ok.length - 1, Math.max(0, next));
      const plot = chart.querySelector('.panel .plot').getBoundingClientRect();
      line.style.display = 'block';
      line.style.left = `${plot.left - chart.getBoundingClientRect().left + plot.width * Math.min(1, (bin + 0.5) * share)}px`;
      const latency = p50[bin] ? `p50 ${p50[bin]}  p95 ${p95[bin]}  p99 ${p99[bin]} ms` : 'nothing answered';
      const start = Number(from) + bin * Number(width);
      status.textContent = `${start.toFixed(3)} s   ${latency}   ok ${ok[bin]}  fail ${fail[bin]}  info ${info[bin]} per s`;
    };
    chart.addEventListener('pointermove', (event) => {
      const plot = chart.querySelector('.panel .plot').getBoundingClientRect();
      const at = (event.clientX - plot.left) / plot.width;
      if (at >= 0 && at <= 1) show(Math.floor(at / share));
    });
    chart.addEventListener('pointerleave', () => { line.style.display = 'none'; });
    chart.addEventListener('keydown', (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move) return;
      event.preventDefault();
      status.setAttribute('aria-live', 'polite');
      show(bin + move);
    });
  };

  copyButtons();
  sorting();
  failingKeys();
  lighting();
  zooming();
  all('.chart[data-bins]').forEach(crossHair);
  addEventListener('beforeprint', () => all('details').forEach((details) => { details.open = true; }));
})();
