// A person at the coordinator's page: types a key and a prompt, waits for the picture, then for what the chain decides. Prints one JSON object, which the test judges.
import { chromium } from "playwright-core";

const [executablePath, url, width, key, prompt, pictures, profile] = process.argv.slice(2);
const SOON = 20_000;
const PICTURE = 120_000;
const SETTLEMENT = 180_000;
const phone = Number(width) < 600;
const scale = phone ? 2 : 1;

const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  viewport: { width: Number(width), height: phone ? 844 : 900 },
  deviceScaleFactor: scale,
  isMobile: phone,
  hasTouch: phone,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Whatever else the browser would like to ask, it finds nobody.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  ],
});

const page = context.pages()[0] ?? (await context.newPage());
page.setDefaultTimeout(SOON);

// What the browser complains of, what was asked of others, and what was refused.
const complaints = [];
const elsewhere = [];
const refused = [];
page.on("console", (message) => {
  // Refusals are listed by themselves.
  const refusal = message.text().startsWith("Failed to load resource: the server responded");
  if (["error", "warning"].includes(message.type()) && !refusal) complaints.push(message.text());
});
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("request", (request) => {
  const asked = new URL(request.url());
  if (!["data:", "blob:"].includes(asked.protocol) && asked.origin !== url) elsewhere.push(request.url());
});
page.on("response", (response) => {
  if (response.status() >= 400) refused.push(`${response.status()} ${new URL(response.url()).pathname}`);
});

const screenshots = [];
async function look(name) {
  const path = `${pictures}/${width}-${name}.png`;
  await page.screenshot({ path, fullPage: true });
  screenshots.push(path);
}

try {
  await page.goto(`${url}/`);
  await page.getByLabel("API key of this coordinator").fill(key);
  await page.getByRole("button", { name: "Use this key" }).click();
  const make = page.getByRole("button", { name: "Make the picture" });
  await page.locator("#submit:enabled").waitFor();
  const refusedBefore = refused.splice(0);
  await look("1-before");

  await page.getByLabel("Prompt", { exact: true }).fill(prompt);
  await page.getByLabel("Seed").fill("7");
  await make.click();
  const job = page.getByRole("region", { name: "Your job" });
  const picture = job.getByRole("img");
  await picture.waitFor({ timeout: PICTURE });
  const size = await picture.evaluate(async (image) => {
    await image.decode();
    return { width: image.naturalWidth, height: image.naturalHeight };
  });
  await look("2-picture");

  const settlement = page.locator("#settlement");
  await settlement.filter({ hasText: /^(Settled|Refunded|Burnt|Void|Overturned)/ }).waitFor({ timeout: SETTLEMENT });
  await look("3-settled");

  console.log(
    JSON.stringify({
      complaints,
      elsewhere,
      refusedBefore,
      refused,
      job: (await page.locator("#facts code").first().textContent()).trim(),
      picture: size,
      settlement: await settlement.textContent(),
      miners: await page.locator("#miner-rows tr").count(),
      tasks: await page.locator("#task-rows tr").count(),
      owner: (await page.locator("#own-owner").textContent()).trim(),
      tooWide: await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth),
      scale,
      screenshots,
    }),
  );
} catch (error) {
  await look("failed").catch(() => {});
  console.error(JSON.stringify({ complaints, elsewhere, refused, screenshots }));
  throw error;
} finally {
  await context.close();
}
