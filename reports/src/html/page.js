// The page's own script: tables that sort and filter, and the browser of samples. Text goes into the page as text
// nodes alone, never as markup. Without it the page shows everything but the samples.
'use strict';
(() => {
  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  /** An element with attributes and children; strings become text. */
  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined) element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  };
  const drawn = (name, attributes) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const words = (count, one, many) => `${count.toLocaleString('en')} ${count === 1 ? one : many}`;

  // Tables -----------------------------------------------------------------------------------------------------------

  const textOf = (row, column) => row.cells[column].textContent.trim();
  /** The first number of a text; NaN where it begins with none. */
  const numberOf = (text) => parseFloat(text.replace(/^[<[]\s*/, ''));
  const collator = new Intl.Collator('en', { numeric: true });

  const sortable = (table) => {
    const body = table.tBodies[0];
    const original = [...body.rows];
    all('thead th', table).forEach((heading, column) => {
      const button = make('button', { type: 'button' });
      button.append(...heading.childNodes);
      heading.append(button);
      heading.setAttribute('aria-sort', 'none');
      const numeric = heading.classList.contains('number') && original.some((row) => !Number.isNaN(numberOf(textOf(row, column))));
      button.addEventListener('click', () => {
        // Numbers: the largest first. A third press brings the order of the records back.
        const steps = numeric ? ['descending', 'ascending', 'none'] : ['ascending', 'descending', 'none'];
        const next = steps[(steps.indexOf(heading.getAttribute('aria-sort')) + 1) % 3];
        all('thead th', table).forEach((other) => other.setAttribute('aria-sort', 'none'));
        heading.setAttribute('aria-sort', next);
        const rows = [...original];
        if (next !== 'none') {
          const sign = next === 'ascending' ? 1 : -1;
          rows.sort((a, b) => {
            const [x, y] = [textOf(a, column), textOf(b, column)];
            if (!numeric) return sign * collator.compare(x, y);
            const [p, q] = [numberOf(x), numberOf(y)];
            // What has no number comes last either way.
            if (Number.isNaN(p) || Number.isNaN(q)) return Number.isNaN(p) - Number.isNaN(q);
            return sign * (p - q);
          });
        }
        body.append(...rows);
      });
    });
  };

  const filterable = (table) => {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < 8) return;
    const input = make('input', { type: 'search', size: 24 });
    const found = make('span', { role: 'status' });
    const label = make('label', {}, 'Keep rows with ', input);
    input.setAttribute('aria-label', `Keep rows of "${table.dataset.name}" with`);
    input.addEventListener('input', () => {
      const asked = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let kept = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !asked.every((word) => text.includes(word));
        kept += !row.hidden;
      }
      found.textContent = asked.length ? `${kept} of ${words(rows.length, 'row', 'rows')}` : '';
    });
    table.closest('.wide').before(make('div', { class: 'keep' }, label, found));
  };

  all('table.sortable').forEach(sortable);
  all('table.filterable').forEach(filterable);

  // Samples ----------------------------------------------------------------------------------------------------------

  const source = find('#data');
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const PAGE = 10;
  const fields = find('#filters .fields');

  /** A labelled list of choices; `[value, text]` each. */
  const choice = (name, text, options) => {
    const select = make('select', { name, id: `filter-${name}` });
    for (const [value, shown] of options) select.append(make('option', { value }, shown));
    fields.append(make('div', {}, make('label', { for: select.id }, text), select));
    return select;
  };
  const numbered = (names) => names.map((name, index) => [String(index), name]);

  const other = data.variants.findIndex((_, index) => index !== data.baseline);
  const pick = {};
  if (data.models.length > 1) pick.model = choice('model', 'Model', [['', 'all'], ...numbered(data.models)]);
  pick.suite = choice('suite', 'Suite', [['', 'all'], ...numbered(data.suites)]);
  if (data.variants.length > 1) {
    pick.first = choice('first', 'Variant', numbered(data.variants));
    pick.second = choice('second', 'Against', numbered(data.variants));
    pick.first.value = String(other);
    pick.second.value = String(data.baseline);
  }
  pick.show = choice('show', 'Show', []);
  if (data.seeds.length > 1) {
    pick.seed = choice('seed', 'Training seed', [['', 'any'], ...data.seeds.map((seed, index) => [String(index), String(seed)])]);
  }
  if (data.reasons.length) pick.reason = choice('reason', 'Error', [['', 'with or without'], ['any', 'any error'], ...numbered(data.reasons)]);
  if (data.samples.some((sample) => sample.maps)) pick.maps = choice('maps', 'Attention map', [['', 'with or without'], ['stored', 'stored']]);
  pick.text = make('input', { type: 'search', id: 'filter-text', name: 'text' });
  fields.append(make('div', {}, make('label', { for: 'filter-text' }, 'Question, answer or prediction has'), pick.text));
  const reset = make('button', { type: 'reset' }, 'Show all samples');
  fields.append(make('div', {}, reset));

  /** The two variants that are compared; where there is one alone, twice that. */
  const pair = () => (pick.first ? [Number(pick.first.value), Number(pick.second.value)] : [0, 0]);

  /** The choices of outcomes have the names of the two chosen variants. */
  let named = '';
  const nameOutcomes = () => {
    const [a, b] = pair().map((variant) => data.variants[variant]);
    if (named === `${a} ${b}`) return;
    named = `${a} ${b}`;
    const kept = pick.show.value;
    const compared = [['won', `${a} right, ${b} wrong`], ['lost', `${a} wrong, ${b} right`], ['differ', 'their scores differ'],
      ['same', 'their scores are the same']];
    const options = [['', 'all'], ...(pick.first ? compared : []), ['right', `${a} right`], ['wrong', `${a} wrong`], ['unscored', 'without a score']];
    pick.show.replaceChildren(...options.map(([value, shown]) => make('option', { value }, shown)));
    pick.show.value = kept;
  };

  // An answer is [prediction, score] or [prediction, null, reason, error]; null where there is no record.
  const right = (answer) => answer && answer[1] !== null && answer[1] >= 0.5;
  const wrong = (answer) => answer && answer[1] !== null && answer[1] < 0.5;
  const outcomes = {
    '': () => true,
    won: (a, b) => right(a) && wrong(b),
    lost: (a, b) => wrong(a) && right(b),
    differ: (a, b) => a && b && a[1] !== null && b[1] !== null && a[1] !== b[1],
    same: (a, b) => a && b && a[1] !== null && a[1] === b[1],
    right: (a) => right(a),
    wrong: (a) => wrong(a),
  };

  const chosenSeeds = () => (pick.seed && pick.seed.value !== '' ? [Number(pick.seed.value)] : data.seeds.map((_, index) => index));

  const matches = (sample) => {
    if (pick.model && pick.model.value !== '' && sample.model !== Number(pick.model.value)) return false;
    if (pick.suite.value !== '' && sample.suite !== Number(pick.suite.value)) return false;
    const seeds = chosenSeeds();
    const answers = sample.answers.flatMap((own) => (own ? seeds.map((seed) => own[seed]) : []));
    if (pick.show.value === 'unscored') {
      if (!answers.some((answer) => answer && answer[1] === null)) return false;
    } else if (pick.show.value !== '') {
      const [first, second] = pair();
      const of = (variant, seed) => sample.answers[variant] && sample.answers[variant][seed];
      if (!seeds.some((seed) => outcomes[pick.show.value](of(first, seed), of(second, seed)))) return false;
    }
    if (pick.reason && pick.reason.value !== '') {
      const asked = pick.reason.value;
      if (!answers.some((answer) => answer && answer[1] === null && (asked === 'any' || answer[2] === Number(asked)))) return false;
    }
    if (pick.maps && pick.maps.value !== '' && !sample.maps) return false;
    const text = pick.text.value.trim().toLowerCase();
    if (text === '') return true;
    const held = [sample.id, sample.question, ...sample.accepted, ...answers.map((answer) => (answer ? answer[0] : ''))];
    return held.some((own) => own.toLowerCase().includes(text));
  };

  const bounds = ([left, top, right_, bottom], attributes) =>
    drawn('rect', { x: left, y: top, width: right_ - left, height: bottom - top, ...attributes });

  /** The picture with the answer's boxes, and where maps are stored a choice of whose attention lies over it. */
  const picture = (sample) => {
    const kept = data.pictures[sample.picture];
    if (!kept) return make('figure', { class: 'picture' }, make('div', { class: 'absent' }, data.absent[sample.absent]));
    const image = make('img', { src: kept.source, width: kept.width, height: kept.height, alt: `Picture of ${sample.id}` });
    const figure = make('figure', { class: 'picture' });
    const holder = make('div', { class: 'picture' }, image);
    figure.append(holder);
    const layer = drawn('svg', { viewBox: '0 0 1 1', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
    const boxes = (sample.boxes || []).map((box) => bounds(box, { class: 'box' }));
    holder.append(layer);
    layer.append(...boxes);
    if (boxes.length || sample.maps) {
      const select = make('select', { 'aria-label': `What lies over the picture of ${sample.id}` });
      select.append(make('option', { value: '' }, 'picture alone'));
      if (boxes.length) select.append(make('option', { value: 'box', selected: '' }, 'box of the answer'));
      (sample.maps || []).forEach((map, index) => select.append(make('option', { value: String(index) }, `attention of ${map.name}`)));
      select.addEventListener('change', () => {
        const map = (sample.maps || [])[select.value];
        const heat = map ? map.tokens.map(([box, opacity]) => bounds(box, { fill: '#d55e00', 'fill-opacity': opacity })) : [];
        layer.replaceChildren(...heat, ...(select.value === '' ? [] : boxes));
      });
      figure.append(select);
    }
    return figure;
  };

  const cell = (answer) => {
    if (!answer) return make('td', { class: 'none' }, make('span', { class: 'quiet' }, 'no record'));
    const [prediction, score, , error] = answer;
    if (score === null) {
      return make('td', { class: 'none' }, make('span', { class: 'sign' }, 'no score: '), make('bdi', {}, error),
        ...(prediction ? [make('span', { class: 'graded' }, 'said '), make('bdi', {}, prediction)] : []));
    }
    const state = score >= 0.5 ? 'right' : 'wrong';
    const parts = [make('span', { class: 'sign', 'aria-hidden': 'true' }, state === 'right' ? '✓' : '✗'),
      make('span', { class: 'hidden' }, `${state}: `),
      prediction === '' ? make('span', { class: 'quiet' }, '(nothing)') : make('bdi', {}, prediction)];
    if (score !== 0 && score !== 1) parts.push(make('span', { class: 'graded' }, score.toFixed(2)));
    return make('td', { class: state }, ...parts);
  };

  const card = (sample) => {
    const seeds = chosenSeeds();
    const place = [data.suites[sample.suite], sample.id, sample.category].filter(Boolean).join(' · ');
    const title = data.models.length > 1 ? `${data.models[sample.model]} · ${place}` : place;
    const heading = make('tr', {}, make('th', { scope: 'col' }, 'variant'),
      ...seeds.map((seed) => make('th', { scope: 'col' }, data.seeds.length > 1 ? `seed ${data.seeds[seed]}` : 'prediction')));
    const rows = data.variants.map((variant, index) => [variant, sample.answers[index]]).filter(([, own]) => own)
      .map(([variant, own]) => make('tr', {}, make('th', { scope: 'row' }, make('bdi', {}, variant)), ...seeds.map((seed) => cell(own[seed]))));
    const table = make('table', {}, make('caption', { class: 'hidden' }, `Predictions for ${sample.id}`), make('thead', {}, heading), make('tbody', {}, ...rows));
    const accepted = make('p', {}, 'accepted: ');
    sample.accepted.forEach((answer, index) => accepted.append(...(index ? [', '] : []), make('bdi', {}, answer)));
    return make('li', {}, make('article', { class: 'card' }, make('h3', {}, make('bdi', {}, title)), picture(sample),
      make('div', {}, make('p', {}, make('bdi', {}, sample.question)), ...(sample.accepted.length ? [accepted] : []),
        make('div', { class: 'wide', role: 'region', tabindex: '0', 'aria-label': `Predictions for ${sample.id}` }, table))));
  };

  let found = [];
  let page = 0;
  const cards = find('#cards');
  const status = find('#found');
  const pagers = [status, cards].map((place, index) => {
    const back = make('button', { type: 'button' }, 'Previous page');
    const on = make('button', { type: 'button' }, 'Next page');
    const where = make('span');
    const pager = make('div', { class: 'pager', role: 'group', 'aria-label': index ? 'Pages, below the samples' : 'Pages' }, back, on, where);
    back.addEventListener('click', () => turn(-1, index));
    on.addEventListener('click', () => turn(1, index));
    place.after(pager);
    return { back, on, where };
  });

  const draw = () => {
    const shown = found.slice(page * PAGE, (page + 1) * PAGE);
    cards.replaceChildren(...shown.map(card));
    const last = Math.max(Math.ceil(found.length / PAGE) - 1, 0);
    for (const { back, on, where } of pagers) {
      back.disabled = page === 0;
      on.disabled = page >= last;
      where.textContent = found.length ? `page ${page + 1} of ${last + 1}` : '';
    }
    const of = `${found.length.toLocaleString('en')} of ${words(data.samples.length, 'sample', 'samples')} match`;
    status.textContent = found.length ? `${of}; here are ${page * PAGE + 1} to ${page * PAGE + shown.length}.` : `${of}.`;
  };
  const turn = (by, index) => {
    page += by;
    draw();
    // From below, go on reading at the top of the new page.
    if (index) find('#samples').focus();
  };
  const choose = () => {
    nameOutcomes();
    found = data.samples.filter(matches);
    page = 0;
    draw();
  };
  const form = find('#filters');
  form.addEventListener('input', choose);
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('reset', () => setTimeout(() => {
    if (pick.first) {
      pick.first.value = String(other);
      pick.second.value = String(data.baseline);
    }
    choose();
  }));
  for (const button of all('button[data-show]')) {
    button.addEventListener('click', () => {
      form.reset();
      setTimeout(() => {
        if (pick.model) pick.model.value = String(data.models.indexOf(button.dataset.model));
        pick.first.value = String(data.variants.indexOf(button.dataset.variant));
        pick.second.value = String(data.baseline);
        nameOutcomes();
        pick.show.value = button.dataset.show;
        choose();
        find('#samples').focus({ preventScroll: true });
        find('#samples').scrollIntoView();
      });
    });
  }
  choose();
})();
