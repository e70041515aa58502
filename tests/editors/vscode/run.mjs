// node run.mjs CONFIG.json: run one scenario; its result is the last line of the output.
import { mkdir, readFile } from "node:fs/promises";
import { Code, open } from "./driver.mjs";
import * as scenarios from "./scenarios.mjs";

const config = JSON.parse(await readFile(process.argv[2], "utf8"));
await mkdir(config.artifacts, { recursive: true });
const { browser, code } = await open(config);
try {
  const result = await scenarios[config.scenario](code);
  console.log(JSON.stringify(result));
} catch (error) {
  for (const [at, page] of code.page.context().pages().entries()) {
    await new Code(page, config).picture(`failed-${config.scenario}${at ? `-${at + 1}` : ""}`).catch(() => undefined);
  }
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser.close();
}
