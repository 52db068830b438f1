// Opens the Compliance Explorer as people do: with a pointer, with the keyboard alone, on a telephone, in the dark; and has axe look
// at every page.
//
// PAGE is its address, MODULES where the modules are, PICTURES (optional) where pictures of the pages go. When it wants something to
// break on a node it prints "break", and reads "NUMBER NAME" of that node from its standard input. Ends with "done", or fails.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";

const { PAGE, MODULES, PICTURES } = process.env;
const require = createRequire(join(MODULES, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const complaints = [];

const open = async (options) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(15000);
  const page = await context.newPage();
  page.on("console", (message) => { if (message.type() === "error") complaints.push(message.text()); });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => { if (!request.url().startsWith(PAGE)) complaints.push(`it asks elsewhere: ${request.url()}`); });
  return page;
};
const close = (page) => page.context().close();

// Small ones: they are kept in docs/screenshots.
const picture = async (page, name, height) => {
  if (!PICTURES) return;
  const before = page.viewportSize();
  const width = Math.min(before.width, 1080);
  await page.setViewportSize({ width, height });
  await page.screenshot({ path: join(PICTURES, `${name}.png`) });
  await page.setViewportSize(before);
};

const judge = async (page, where) => {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const grave = violations.filter((v) => v.impact === "serious" || v.impact === "critical");
  assert.deepEqual(grave.map((v) => [v.id, v.nodes[0].html.slice(0, 200), v.nodes[0].failureSummary]), [], where);
  const { scroll, client } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth }));
  assert.ok(scroll <= client, `${where} is ${scroll} wide on a screen of ${client}`);
};

const number = async (locator) => Number((await locator.first().innerText()).replaceAll(",", ""));

// From how everything stands, by what fails, to the node that fails it.
const byPointer = async () => {
  const page = await open({});
  await page.goto(PAGE);
  await judge(page, "the overview");
  await picture(page, "overview", 720);
  const fails = page.locator("#controls tbody tr").first().locator("td.n a").first();
  const expected = await number(fails);
  await fails.click();
  await page.waitForURL(/\/control\?/);
  assert.equal(Number(await page.locator("#list").getAttribute("data-total")), expected);
  assert.equal(await page.locator("#list tbody tr").count(), Math.min(expected, 50));
  await judge(page, "a control");
  await picture(page, "control", 720);
  await page.locator("#list tbody th a").first().click();
  await page.waitForURL(/\/nodes\/\d+$/);
  assert.match(await page.locator("#findings").innerText(), /What to do/);
  await judge(page, "a node");
  await page.goto(`${PAGE}/nodes?state=non-compliant`);
  await page.locator("#list tbody th a").first().click();
  await page.waitForURL(/\/nodes\/\d+$/);
  await judge(page, "a node that is non-compliant");
  await picture(page, "node", 1240);
  for (const path of ["/controls", "/controls?verdict=fail", "/nodes", "/actions", "/sign-in", "/nodes/0"]) {
    const answer = await page.goto(PAGE + path);
    assert.ok(answer.status() < 500, path);
    await judge(page, path);
  }
  await close(page);
};

// Where EC2 is silent, or a cluster, the first page says so, and leads to why.
const whoIsSilent = async () => {
  const page = await open({});
  await page.goto(PAGE);
  const said = page.locator("li", { hasText: "EC2 is silent" });
  assert.match(await said.innerText(), /us-east-1 of account 410987654323/);
  await said.getByRole("link", { name: "Why" }).click();
  await page.waitForURL(/\/actions#ec2$/);
  assert.match(await page.locator("#ec2 tbody").innerText(), /AccessDenied.*role\/safeguard-expected/);
  await judge(page, "what EC2 says");
  await page.goto(PAGE);
  const cluster = page.locator("li", { hasText: "Cluster is silent" });
  assert.match(await cluster.innerText(), /archive-prod/);
  await cluster.getByRole("link", { name: "Why" }).click();
  await page.waitForURL(/\/actions#cluster$/);
  assert.match(await page.locator("#cluster tbody").innerText(), /archive-prod[^]*may not list nodes/);
  await close(page);
};

// What terminate would do: to one node, by the word of two others, and why not to the rest.
const whatTerminateWouldDo = async () => {
  const page = await open({});
  await page.goto(`${PAGE}/actions`);
  assert.match(await page.locator("#brake").innerText(), /would terminate 1\./);
  const lost = page.locator("#list tbody tr", { has: page.getByText("yes", { exact: true }) });
  assert.match(await lost.innerText(), /missing[^]*EC2 says that its instance runs; its cluster says that it is not Ready/);
  const others = await page.locator("#list tbody tr", { has: page.getByText("no", { exact: true }) }).all();
  assert.ok(others.length > 0);
  for (const row of others) assert.ok((await row.locator("li").count()) > 0, await row.innerText());
  assert.match(await page.locator("#cluster tbody").innerText(), /archive-prod[^]*silent[^]*may not list nodes/);
  await judge(page, "what terminate would do");
  await picture(page, "actions", 900);
  await lost.getByRole("link").click();
  assert.match(await page.locator("main").innerText(), /In the cluster\s+not Ready said by the cluster/);
  await close(page);
};

// Search and filter are in the address, and the way back works.
const bySearch = async () => {
  const page = await open({});
  await page.goto(`${PAGE}/nodes`);
  await page.getByLabel("Name, instance, AMI or account").fill("us-east-1");
  await page.getByLabel("State", { exact: true }).selectOption("compliant");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForURL(/text=us-east-1/);
  assert.match(page.url(), /state=compliant/);
  const rows = await page.locator("#list tbody tr").allInnerTexts();
  assert.ok(rows.length > 0 && rows.every((row) => row.includes("us-east-1") && row.includes("compliant")));
  await picture(page, "nodes", 640);
  await page.getByLabel("Remove the limit to State compliant").click();
  await page.waitForURL((url) => !url.search.includes("state"));
  assert.match(page.url(), /text=us-east-1/);
  await close(page);
};

// The keyboard alone, from the address to a node that fails something.
const byKeyboard = async () => {
  const page = await open({});
  await page.goto(PAGE);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  const reach = async (what) => {
    for (let i = 0; i < 200; i++) {
      await page.keyboard.press("Tab");
      const seen = await page.evaluate((selector) => {
        const element = document.activeElement;
        const outline = getComputedStyle(element);
        return { there: element.matches(selector), visible: outline.outlineStyle !== "none" && outline.outlineWidth !== "0px" };
      }, what);
      assert.ok(seen.visible, "where the focus is can be seen");
      if (seen.there) return;
    }
    assert.fail(`${what} is not reached`);
  };
  await reach("#controls tbody th a");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/control\?/);
  await reach("#list tbody th a");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/nodes\/\d+$/);
  await reach("summary");
  await page.keyboard.press("Enter");
  assert.ok(await page.locator("details[open]").count() > 0);
  await close(page);
};

const onATelephone = async () => {
  for (const colorScheme of ["light", "dark"]) {
    const page = await open({ viewport: { width: 360, height: 740 }, colorScheme, hasTouch: true, isMobile: true });
    for (const path of ["/", "/controls", "/nodes", "/nodes/3", "/actions", "/control?policy=cis-al2023-1.0.0&control=1.1.2.1"]) {
      await page.goto(PAGE + path);
      await judge(page, `${path} at 360 pixels, ${colorScheme}`);
      if (path === "/") await picture(page, `telephone-${colorScheme}`, 1080);
    }
    await close(page);
  }
};

const inTheDark = async () => {
  const page = await open({ colorScheme: "dark" });
  for (const path of ["/", "/controls", "/nodes", "/nodes/3", "/actions", "/sign-in"]) {
    await page.goto(PAGE + path);
    await judge(page, `${path} in the dark`);
    if (path === "/") await picture(page, "overview-dark", 720);
  }
  const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.ok(paper.match(/\d+/g).map(Number).every((part) => part < 60), paper);
  await close(page);
};

const withoutAScript = async () => {
  const page = await open({ javaScriptEnabled: false });
  await page.goto(PAGE);
  await page.locator("#states .tiles a").first().click();
  await page.waitForURL(/\/nodes\?state=/);
  await page.locator("#list tbody th a").first().click();
  await page.waitForURL(/\/nodes\/\d+$/);
  await close(page);
};

// Something breaks, and the page says so within seconds, without being loaded again and without taking the focus away.
const asItHappens = async () => {
  const page = await open({});
  await page.goto(PAGE);
  await page.getByText("live", { exact: true }).waitFor();
  await page.evaluate(() => { globalThis.notLoadedAgain = true; });
  const tile = page.locator("#states .non-compliant .tile-n a");
  const before = await number(tile);
  await tile.focus();
  await page.locator("#trend summary").click();
  await tile.focus();
  const from = Date.now();
  console.log("break");
  const { value } = await input.next();
  const [id, name] = value.split(" ");
  await page.waitForFunction((n) => Number(document.querySelector("#states .non-compliant .tile-n a").textContent) === n, before + 1);
  console.log(`seen after ${Date.now() - from} ms`);
  assert.ok(await page.evaluate(() => globalThis.notLoadedAgain));
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("href")), /state=non-compliant/);
  assert.ok(await page.locator("#trend details").evaluate((details) => details.open), "what was opened stays open");
  await page.goto(`${PAGE}/nodes/${id}`);
  assert.equal((await page.locator("h1").innerText()).replace(/\s*simulated/, ""), name);
  assert.match(await page.locator("#state").innerText(), /non-compliant/);
  assert.match(await page.locator("#timeline").innerText(), /drift/);
  await close(page);
};

for (const part of [byPointer, whoIsSilent, whatTerminateWouldDo, bySearch, byKeyboard, onATelephone, inTheDark, withoutAScript, asItHappens]) {
  console.log(part.name);
  await part();
}
// A page that does not exist is asked for on purpose.
assert.deepEqual(complaints.filter((text) => !text.includes("404")), []);
await browser.close();
console.log("done");
process.exit(0);
