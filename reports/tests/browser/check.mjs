// Opens report pages in headless Chromium and uses them as a reader would, by mouse and by keyboard.
//
//     node check.mjs FOLDER PAGE.html [PAGE.html ..]
//
// Screenshots go to FOLDER. playwright-core is taken from the current folder's node_modules, where `just test-browser` puts
// it; CHROMIUM names the browser, by default `chromium`.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const { chromium } = createRequire(join(process.cwd(), 'package.json'))('playwright-core');

const [folder, ...pages] = process.argv.slice(2);
if (!folder || pages.length === 0) {
  console.error('usage: node check.mjs FOLDER PAGE.html [PAGE.html ..]');
  process.exit(1);
}
mkdirSync(folder, { recursive: true });
const executablePath = execFileSync('which', [process.env.CHROMIUM || 'chromium'], { encoding: 'utf8' }).trim();
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });

/** A page whose errors, requests and dialogs are kept. */
const open = async (path, options = {}) => {
  const context = await browser.newContext({ offline: true, viewport: { width: 1200, height: 900 }, ...options });
  const page = await context.newPage();
  const seen = { errors: [], requests: [], dialogs: [] };
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && seen.errors.push(message.text()));
  page.on('pageerror', (error) => seen.errors.push(String(error)));
  page.on('request', (request) => seen.requests.push(request.url()));
  page.on('dialog', (dialog) => { seen.dialogs.push(dialog.message()); dialog.dismiss(); });
  await page.goto(pathToFileURL(resolve(path)).href, { waitUntil: 'load' });
  return { page, seen, close: () => context.close() };
};

const quiet = (seen) => {
  assert.deepEqual(seen.errors, [], 'no console error');
  assert.deepEqual(seen.dialogs, [], 'no dialog');
  const asked = seen.requests.filter((url) => !url.startsWith('data:'));
  assert.equal(asked.length, 1, `nothing but the page is loaded: ${asked.slice(1)}`);
};

/** What a screen reader would stumble over. */
const nameless = (page) => page.evaluate(() => [...document.querySelectorAll('button, select, input, a[href], img, [role=region], [role=group]')]
  .filter((element) => !(element.getAttribute('aria-label') || element.getAttribute('aria-labelledby') || element.getAttribute('alt')
    || (element.labels && element.labels.length) || (['BUTTON', 'A'].includes(element.tagName) && element.textContent.trim())))
  .map((element) => element.outerHTML.slice(0, 120)));

/** Headings that skip a level, and ids that stand twice. */
const structure = (page) => page.evaluate(() => {
  const wrong = [];
  let level = 0;
  for (const heading of document.querySelectorAll('h1, h2, h3, h4')) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) wrong.push(`${heading.tagName} after level ${level}: ${heading.textContent}`);
    level = own;
  }
  const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
  wrong.push(...ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `id ${id} stands twice`));
  return wrong;
});

/** The lowest contrast of a text to what lies behind it. */
const contrast = (page) => page.evaluate(() => {
  const parse = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((value) => (value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  let least = { ratio: 99, text: '' };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || element.closest('script, style, noscript, svg, option, .hidden, .skip, :disabled')) continue;
    let behind = element;
    while (behind && (parse(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
    const colours = [getComputedStyle(element).color, behind ? getComputedStyle(behind).backgroundColor : 'rgb(255,255,255)'].map((own) => light(parse(own)));
    const ratio = (Math.max(...colours) + 0.05) / (Math.min(...colours) + 0.05);
    if (ratio < least.ratio) least = { ratio, text: walker.currentNode.textContent.trim().slice(0, 60) };
  }
  return least;
});

const sorting = async (page) => {
  const table = page.locator('table.sortable').first();
  const columns = await table.locator('thead th').count();
  const texts = (column) => table.locator(`tbody tr > :nth-child(${column + 1})`).allTextContents();
  for (let column = 0; column < columns; column += 1) {
    const heading = table.locator('thead th').nth(column);
    const before = await texts(column);
    const isNumber = (text) => !Number.isNaN(parseFloat(text.replace(/^[<[]/, '')));
    const numeric = (await heading.getAttribute('class') || '').includes('number') && before.some(isNumber);
    await heading.locator('button').click();
    assert.equal(await heading.getAttribute('aria-sort'), numeric ? 'descending' : 'ascending');
    const sorted = await texts(column);
    assert.deepEqual([...sorted].sort(), [...before].sort(), 'sorting loses no row');
    const numbers = sorted.map((text) => parseFloat(text.replace('<', ''))).filter((number) => !Number.isNaN(number));
    if (numeric) assert.deepEqual(numbers, [...numbers].sort((a, b) => b - a), 'largest first');
    await heading.locator('button').click();
    assert.equal(await heading.getAttribute('aria-sort'), numeric ? 'ascending' : 'descending');
    await heading.locator('button').click();
    assert.equal(await heading.getAttribute('aria-sort'), 'none');
    assert.deepEqual(await texts(column), before, 'a third press restores the order');
  }
};

const filtering = async (page) => {
  const box = page.locator('.keep input').first();
  if (await box.count() === 0) return false;
  const table = page.locator('.table', { has: box }).first().locator('table');
  const rows = table.locator('tbody tr');
  const [name, second] = await rows.last().locator('th, td').allTextContents();
  const words = [name.trim(), second.trim()];
  const all = await rows.count();
  await box.fill(words.join(' '));
  const kept = await rows.filter({ visible: true }).count();
  assert.ok(kept >= 1 && kept < all, `${words} keeps ${kept} of ${all} rows`);
  for (const text of await rows.filter({ visible: true }).allTextContents()) assert.ok(words.every((word) => text.includes(word)));
  await box.fill('no row has this');
  assert.equal(await rows.filter({ visible: true }).count(), 0);
  await box.fill('');
  assert.equal(await rows.filter({ visible: true }).count(), all);
  return true;
};

const matching = async (page) => Number((await page.locator('#found').textContent()).split(' of ')[0].replace(/,/g, ''));

/** Every shown card has, under one seed, `first` in one state and `second` in the other. */
const outcome = (page, first, second, states) => page.evaluate(([first, second, [one, two]]) => {
  const cells = (card, variant) => [...card.querySelectorAll('tbody tr')].find((row) => row.cells[0].textContent === variant).querySelectorAll('td');
  return [...document.querySelectorAll('.card')].every((card) => {
    const [a, b] = [cells(card, first), cells(card, second)];
    return [...a].some((cell, seed) => cell.classList.contains(one) && b[seed].classList.contains(two));
  });
}, [first, second, states]);

const browsing = async (page) => {
  const data = await page.evaluate(() => JSON.parse(document.querySelector('#data').textContent));
  const total = data.samples.length;
  assert.equal(await matching(page), total);
  const cards = page.locator('.card');
  assert.equal(await cards.count(), Math.min(10, total));
  const first = await cards.first().textContent();
  if (total > 10) {
    await page.getByRole('button', { name: 'Next page' }).first().click();
    assert.notEqual(await cards.first().textContent(), first);
    await page.getByRole('button', { name: 'Previous page' }).first().click();
    assert.equal(await cards.first().textContent(), first);
  }
  await page.getByLabel('Suite', { exact: true }).selectOption({ index: 1 });
  assert.equal(await matching(page), data.samples.filter((sample) => sample.suite === 0).length);
  await page.getByRole('button', { name: 'Show all samples' }).click();
  await page.waitForFunction((all) => document.querySelector('#found').textContent.startsWith(all), total.toLocaleString('en'));
  for (const [show, states] of [['won', ['right', 'wrong']], ['lost', ['wrong', 'right']]]) {
    const button = page.locator(`button[data-show=${show}]`).first();
    if (await button.count() === 0) continue;
    const variant = await button.getAttribute('data-variant');
    await button.click();
    await page.waitForFunction((value) => document.querySelector('#filter-show').value === value, show);
    const baseline = data.variants[data.baseline];
    assert.ok(await cards.count() > 0, `${variant} ${show}: a sample is shown`);
    assert.ok(await outcome(page, variant, baseline, states), `${variant} ${show}: every card shows it`);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'samples', 'the reader is taken there');
  }
  if (data.reasons.length) {
    await page.getByRole('button', { name: 'Show all samples' }).click();
    await page.getByLabel('Error', { exact: true }).selectOption('any');
    assert.ok(await cards.count() > 0);
    for (const text of await cards.allTextContents()) assert.ok(text.includes('no score'));
  }
  await page.getByRole('button', { name: 'Show all samples' }).click();
  await page.getByLabel('Question, answer or prediction').fill(data.samples.at(-1).id);
  assert.ok(await matching(page) >= 1);
  await page.getByLabel('Question, answer or prediction').fill('nothing says this, surely');
  assert.equal(await matching(page), 0);
  await page.getByRole('button', { name: 'Show all samples' }).click();
  await page.waitForFunction((all) => document.querySelector('#found').textContent.startsWith(all), total.toLocaleString('en'));
  const pictures = await page.evaluate(() => Promise.all([...document.querySelectorAll('.card img')].map((image) => image.decode().then(() => image.naturalWidth))));
  assert.ok(pictures.every((width) => width > 0), 'every picture is one');
};

/** Presses Tab until `selector` has the focus, which must be seen. */
const tabTo = async (page, selector) => {
  for (let press = 0; press < 400; press += 1) {
    await page.keyboard.press('Tab');
    const [there, seen] = await page.evaluate((selector) => {
      const element = document.activeElement;
      return [element.matches(selector), getComputedStyle(element).outlineStyle !== 'none'];
    }, selector);
    assert.ok(seen, 'the focus is seen');
    if (there) return;
  }
  assert.fail(`Tab never reaches ${selector}`);
};

const keyboard = async (path) => {
  const { page, seen, close } = await open(path);
  await tabTo(page, '.skip');
  await page.keyboard.press('Enter');
  if (await page.locator('table.sortable').count()) {
    await tabTo(page, 'thead button');
    await page.keyboard.press('Enter');
    assert.equal(await page.locator('[aria-sort="ascending"]').count(), 1, 'Enter sorts');
  }
  if (await page.locator('#data').count() && await page.getByRole('button', { name: 'Next page' }).first().isEnabled()) {
    await tabTo(page, '#filter-suite');
    await page.keyboard.press('ArrowDown');
    await tabTo(page, '.pager button:enabled');
    await page.keyboard.press('Enter');
    assert.match(await page.locator('.pager').first().textContent(), /page 2 of/);
  }
  quiet(seen);
  await close();
};

for (const path of pages) {
  const stem = basename(path, '.html');
  const { page, seen, close } = await open(path);
  const did = [];
  assert.deepEqual(await nameless(page), [], 'every control has a name');
  assert.deepEqual(await structure(page), [], 'headings and ids');
  if (await page.locator('table.sortable').count()) { await sorting(page); did.push('sorts'); }
  if (await filtering(page)) did.push('filters');
  if (await page.locator('#data').count()) { await browsing(page); did.push('browses'); }
  assert.equal(await page.evaluate(() => 'stolen' in window), false, 'no text of a record was run');
  quiet(seen);
  await close();
  await keyboard(path);
  did.push('by keyboard');
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1200, 400]) {
      const { page, seen, close } = await open(path, { colorScheme, viewport: { width, height: 900 } });
      const wide = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
      assert.ok(wide[0] <= wide[1], `${width} px: the page is ${wide[0]} wide`);
      const least = await contrast(page);
      assert.ok(least.ratio >= 4.5, `${colorScheme}: contrast ${least.ratio.toFixed(2)} of "${least.text}"`);
      await page.screenshot({ path: join(folder, `${stem}-${colorScheme}-${width}.png`), fullPage: true });
      quiet(seen);
      await close();
    }
  }
  const print = await open(path);
  await print.page.pdf({ path: join(folder, `${stem}.pdf`), format: 'A4' });
  await print.close();
  console.log(`${stem}: ${did.join(', ')}; light and dark, 400 and 1200 px, ${(statSync(path).size / 1e6).toFixed(2)} MB`);
}
await browser.close();
