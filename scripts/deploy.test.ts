// The files in deploy/ name what exists: commands, options, files and variables.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";

const root = join(import.meta.dirname, "..");

const read = (name: string) => readFileSync(join(root, "deploy", name), "utf8");
const files = readdirSync(join(root, "deploy"));

const helpOf = (file: string) =>
  execFileSync(process.execPath, [join(root, file), "--help"], { encoding: "utf8", cwd: root });
const workerHelp = helpOf("gpu-worker/src/main.ts");
const gatewaySource = readFileSync(join(root, "gateway/local/main.ts"), "utf8");

interface Container {
  args?: string[];
  command?: string[];
}

/** The arguments of each worker that the manifests start. */
function workerArguments(): string[][] {
  const { services }: { services: { worker: Container } } = parse(read("compose.yaml"));
  const workers = parseAllDocuments(read("kubernetes.yaml"))
    .map((document) => document.toJS())
    .filter(({ metadata, spec }) => metadata.name === "anabranch-worker" && spec.template)
    .flatMap(({ spec }) => spec.template.spec.containers as Container[]);
  const unit = /ExecStart=.*main\.ts ([\s\S]*?)\n(?!\s)/.exec(read("anabranch-worker@.service"));
  const words = (unit?.[1] ?? "").replaceAll("\\\n", " ").trim().split(/\s+/);
  return [services.worker.command ?? [], ...workers.map(({ args }) => args ?? []), words];
}

describe("deploy/", () => {
  it.each(files.filter((name) => name.endsWith(".yaml")))("%s is valid YAML", (name) => {
    const documents = parseAllDocuments(read(name));
    expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
    expect(documents.length).toBeGreaterThan(0);
  });

  it("starts workers with options that they have, on files that exist", () => {
    const all = workerArguments();
    expect(all).toHaveLength(3);
    for (const args of all) {
      const options = args
        .filter((word) => word.startsWith("--"))
        .map((word) => word.split("=")[0]);
      expect(options).toContain("--gateway");
      for (const option of options) expect(workerHelp).toContain(`  ${option} `);
      const paths = args.flatMap((word) => /models\/[\w./-]+/.exec(word) ?? []);
      for (const path of paths) expect(existsSync(join(root, path)), path).toBe(true);
    }
  });

  it("runs programs of the repository", () => {
    const programs = files.flatMap((name) => [
      ...read(name).matchAll(/(?:gateway|gpu-worker|scripts)\/[\w/-]+\.(?:ts|mjs)/g),
    ]);
    expect(programs.length).toBeGreaterThan(5);
    for (const [path] of programs) expect(existsSync(join(root, path)), path).toBe(true);
    for (const option of ["host", "port", "state"]) expect(gatewaySource).toContain(`${option}: {`);
  });

  it("serves the demo as npm start does", () => {
    const demo = JSON.parse(readFileSync(join(root, "models/demo/demo.json"), "utf8"));
    const own = [
      ...[`--model=${demo.model}`, `--model-id=${demo.id}`],
      ...[`--adapter=${demo.adapterName}=${demo.adapter}`],
      ...[`--auto-threshold=${demo.autoThreshold}`],
      `--sampling-defaults=${JSON.stringify(demo.samplingDefaults)}`,
    ];
    const workers = workerArguments().filter((args) => args.some((word) => word.includes("demo")));
    expect(workers).toHaveLength(2);
    for (const args of workers) expect(args).toEqual(expect.arrayContaining(own));
  });

  it("builds the engine wherever a worker runs", async () => {
    const { commands } = await import(join(import.meta.dirname, "commands.mjs"));
    const needsOf = (command: string) =>
      (commands[command]?.needs ?? []).map(({ name }: { name: string }) => name);
    for (const name of ["worker.Dockerfile", "anabranch-worker@.service"]) {
      const build = /(?:node scripts\/run\.mjs|npm run) ([\w:-]+)(.*)/.exec(read(name));
      const [, command = "", rest] = build ?? [];
      expect(needsOf(command), name).toContain("native");
      // Help is told without what the command needs.
      expect(rest).not.toContain("--help");
    }
  });

  it("sets variables that something reads", () => {
    const sources = execFileSync("grep", ["-rhoE", "ANABRANCH_[A-Z_]+", "gateway", "gpu-worker"], {
      cwd: root,
      encoding: "utf8",
    });
    const known = new Set(sources.split("\n"));
    const named = files.flatMap(
      (name) => read(name).match(/^\s*(?:- name: )?ANABRANCH_[A-Z_]+/gm) ?? [],
    );
    expect(named.length).toBeGreaterThan(3);
    for (const text of named) expect(known).toContain(/ANABRANCH_[A-Z_]+/.exec(text)?.[0]);
  });
});
