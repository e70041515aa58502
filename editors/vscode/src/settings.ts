// Which settings go to the server, and on which way.
import * as vscode from "vscode";
import manifest from "../package.json";

type Tree = { [key: string]: unknown };

const properties = manifest.contributes.configuration.flatMap((group) => Object.entries(group.properties)) as [
  string,
  { scope?: string },
][];
const serverKeys = properties.map(([key]) => key).filter((key) => !key.startsWith("codeface.server."));
const machineKeys = properties.filter(([, value]) => value.scope === "machine").map(([key]) => key);

/** What the user has set for this machine: it goes into `initializationOptions`, where the server trusts it. */
export function initializationOptions(): Tree {
  return collect(serverKeys, (inspected) => inspected.globalValue);
}

/** What anyone has set, a repository included: the answer to `workspace/configuration`, harmless keys only. */
export function workspaceOptions(resource?: vscode.Uri): Tree {
  const harmless = serverKeys.filter((key) => !machineKeys.includes(key));
  return collect(
    harmless,
    (inspected) =>
      inspected.workspaceFolderValue ?? inspected.workspaceValue ?? inspected.globalValue,
    resource,
  );
}

/** Whether a change touches what only a new server process would see. */
export function needsRestart(event: vscode.ConfigurationChangeEvent): boolean {
  return machineKeys.some((key) => event.affectsConfiguration(key));
}

/** A setting of the extension itself; only the user's own value counts, whatever a workspace says. */
export function ownSetting<T>(key: string): T | undefined {
  const inspected = vscode.workspace.getConfiguration().inspect<T>(key);
  return inspected?.globalValue;
}

type Inspected = NonNullable<ReturnType<vscode.WorkspaceConfiguration["inspect"]>>;

function collect(keys: string[], value: (inspected: Inspected) => unknown, resource?: vscode.Uri): Tree {
  const configuration = vscode.workspace.getConfiguration(undefined, resource);
  const tree: Tree = {};
  for (const key of keys) {
    const inspected = configuration.inspect(key);
    const chosen = inspected && value(inspected);
    if (chosen === undefined || chosen === null) continue;
    const path = key.split(".").slice(1);
    let node = tree;
    for (const part of path.slice(0, -1)) node = (node[part] ??= {}) as Tree;
    node[path.at(-1) as string] = chosen;
  }
  return tree;
}
