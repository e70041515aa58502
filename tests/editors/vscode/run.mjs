// node run.mjs CONFIG.json: run one scenario; its result is the last line of the output.
import { mkdir, readFile } from "node:fs/promises";
import { open } from "./driver.mjs";
import * as scenarios from "./scenarios.mjs";

const config = JSON.parse(await readFile(process.argv[2], "utf8"));
await mkdir(config.artifacts, { recursive: true });
const { browser, code } = await open(config);
try {
  const result = await scenarios[config.scenario](code);
  console.log(JSON.stringify(result));
} catch (error) {
  await code.picture(`failed-${config.scenario}`).catch(() => undefined);
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser.close();
}
