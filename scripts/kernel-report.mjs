// npm run kernel-report: what each CUDA kernel takes, and how many of its blocks fit on a multiprocessor.
import { spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism, setPriority } from "node:os";
import { join } from "node:path";
import { readCommandLine } from "../shared/src/cli/command.ts";
import { root } from "./setup.mjs";

const help = `npm run kernel-report -- [options]

Compiles the CUDA kernels with nvcc, as a release build does, and prints the registers, shared memory and
spills of each, with the blocks and warps that a multiprocessor holds of it. Needs no GPU; about a minute of
one core for each architecture. Ends with 1 where a kernel's launch size is not known here.

  --architectures LIST  compute capabilities: 80, 90, 120 (default all)
  --only TEXT           kernels whose name has it
  --json                an array of objects instead of a table
`;

/**
 * What a multiprocessor has, from the table "Technical Specifications per Compute Capability" of the CUDA C++
 * Programming Guide; shared memory in KiB, without the KiB that each block takes for the system.
 */
const multiprocessors = {
  80: { blocks: 32, warps: 64, shared: 164, sharedOfBlock: 163 },
  90: { blocks: 32, warps: 64, shared: 228, sharedOfBlock: 227 },
  120: { blocks: 24, warps: 48, shared: 100, sharedOfBlock: 99 },
};
const registers = 65536; // of a multiprocessor, in each of them

const warp = 32;
const numbers = (name) => (name.match(/\d+/g) ?? []).map(Number);

/**
 * How each kernel is launched: threads, and bytes of dynamic shared memory, from the function `launch…` at the
 * end of its file in native/engine/backends/cuda. Several where one kernel is launched in several sizes.
 */
const launches = {
  skinny_gemm_kernel(name) {
    const [tiles, panels] = numbers(name.slice(name.indexOf("SkinnyShape")));
    const fourBits = name.includes("FourBitWeights");
    const scales = fourBits ? 256 : name.includes("ByteWeights") ? 32 : 0;
    const stages = panels === 4 ? 3 : fourBits ? 4 : 5;
    const warpBytes = stages * panels * (1024 + scales);
    // Matrices of many, fewer and few panels; see launch_skinny.
    const warps = { "4,1": [16], "4,2": [8], "4,4": [4] }[`${tiles},${panels}`] ?? [4, 8, 16];
    return warps.map((count) => [count * warp, count * warpBytes]);
  },
  tiled_gemm_kernel: () => [[128, 4 * 128 * (64 + 64)]],
  split_k_reduce_kernel: () => [[256, 0]],
  chunk_attention_kernel(name) {
    const width = Math.min(128, numbers(name)[0] * 32); // WarpResults
    return [[8 * warp, 4 * (8 * 16 * (2 + width + 4) + 8 * 16 * 4 + 16)]];
  },
  merge_partials_kernel: () => [64, 128, 256].map((dim) => [dim, 0]),
  probe_kernel: () => [[1, 0]],
  prefill_attention_kernel: () => [[4 * warp, 0]],
  sample_kernel: () => [[512, 0]],
  quantize_kernel: () => [[warp, 0]],
  widen_kernel: () => [[256, 0]],
  project_kernel: () => [[128, 0]],
  add_low_rank_kernel: () => [[128, 0]],
  replace_logits_kernel: () => [[128, 0]],
  embed_kernel: () => [[256, 0]],
  rms_norm_kernel: () => [[256, 0]],
  add_to_residual_kernel: () => [[256, 0]],
  qkv_epilogue_kernel: () => [[256, 0]],
  activate_and_mul_kernel: () => [[256, 0]],
};

/**
 * Blocks on a multiprocessor, by the rules of the CUDA toolkit's cuda_occupancy.h: registers go to warps in units
 * of 256, in each of four partitions; shared memory to blocks in units of 128 bytes.
 */
function blocksOf({ threads, shared, perThread }, limits) {
  const warps = Math.ceil(threads / warp);
  const up = (value, unit) => Math.ceil(value / unit) * unit;
  const bytes = up(shared + 1024, 128);
  if (bytes > (limits.sharedOfBlock + 1) * 1024) return 0;
  const perWarp = up(perThread * warp, 256);
  if (perWarp * up(warps, 4) > registers) return 0;
  return Math.min(
    limits.blocks,
    Math.floor(limits.warps / warps),
    Math.floor((4 * Math.floor(registers / 4 / perWarp)) / warps),
    Math.floor((limits.shared * 1024) / bytes),
  );
}

/** stderr of a program, which is where ptxas writes. */
function run(command, args, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ["ignore", "ignore", "pipe"] });
    let text = "";
    child.stderr.setEncoding("utf8").on("data", (part) => {
      text += part;
    });
    child.on("error", (error) => reject(new Error(`${command}: ${error.message}`)));
    child.on("close", (status) =>
      status === 0 ? resolve(text) : reject(new Error(`${command} ${args.join(" ")}\n${text}`)),
    );
  });
}

/** `name(argument, …)` of a symbol, without namespaces, return type and arguments. */
function plainNames(symbols) {
  const { stdout, error } = spawnSync("c++filt", { input: symbols.join("\n"), encoding: "utf8" });
  if (error) throw new Error(`c++filt: ${error.message}; it is part of binutils`);
  return stdout.split("\n").map((line) =>
    line
      .replace(/anabranch::cuda::|\(anonymous namespace\)::|^void /g, "")
      .replace(/\(.*$/, "")
      .replaceAll("> >", ">>"),
  );
}

/** The kernels of one file: what ptxas says of each. */
function kernelsOf(text) {
  const found = [];
  for (const part of text.split("Compiling entry function '").slice(1)) {
    const count = (pattern) => Number(pattern.exec(part)?.[1] ?? 0);
    found.push({
      symbol: part.slice(0, part.indexOf("'")),
      perThread: count(/Used (\d+) registers/),
      staticShared: count(/(\d+) bytes smem/),
      stack: count(/(\d+) bytes stack frame/),
      spilled: count(/(\d+) bytes spill stores/),
    });
  }
  const names = plainNames(found.map(({ symbol }) => symbol));
  return found.map(({ symbol, ...kernel }, i) => ({ kernel: names[i], ...kernel }));
}

/** A row for each way in which the kernel is launched. */
function rowsOf({ kernel, perThread, staticShared, stack, spilled }, architecture) {
  const sizes = launches[/^\w+/.exec(kernel)[0]]?.(kernel) ?? [[undefined, 0]];
  return sizes.map(([threads, dynamicShared]) => {
    const shared = staticShared + dynamicShared;
    const taken = { architecture: `sm_${architecture}`, kernel, threads, registers: perThread };
    const memory = { shared_bytes: shared, spilled_bytes: spilled, stack_bytes: stack };
    if (threads === undefined) return { ...taken, ...memory };
    const limits = multiprocessors[architecture];
    const blocks = blocksOf({ threads, shared, perThread }, limits);
    const warps = blocks * Math.ceil(threads / warp);
    return { ...taken, ...memory, blocks, warps, occupancy: warps / limits.warps };
  });
}

function print(rows) {
  const columns = [
    ["threads", ({ threads }) => threads ?? "?"],
    ["registers", (row) => row.registers],
    ["shared KiB", (row) => (row.shared_bytes / 1024).toFixed(1)],
    ["spilled", (row) => row.spilled_bytes || ""],
    ["stack", (row) => row.stack_bytes || ""],
    ["blocks", ({ blocks }) => blocks ?? "?"],
    ["warps", ({ warps }) => warps ?? "?"],
    ["share", (row) => (row.blocks === undefined ? "?" : `${Math.round(100 * row.occupancy)}%`)],
  ];
  const width = Math.max(0, ...rows.map(({ kernel }) => kernel.length));
  const line = (first, cells) =>
    [
      first.padEnd(width),
      ...cells.map((cell, i) => String(cell).padStart(columns[i][0].length)),
    ].join("  ");
  for (const architecture of new Set(rows.map((row) => row.architecture))) {
    const heads = columns.map(([head]) => head);
    process.stdout.write(`${line(architecture, heads)}\n`);
    for (const row of rows.filter((each) => each.architecture === architecture)) {
      const cells = columns.map(([, cell]) => cell(row));
      process.stdout.write(`${line(row.kernel, cells)}\n`);
    }
    process.stdout.write("\n");
  }
}

const { values } = readCommandLine({
  name: "kernel-report",
  help,
  options: {
    architectures: { type: "string", default: Object.keys(multiprocessors).join() },
    only: { type: "string", default: "" },
    json: { type: "boolean", default: false },
  },
});
const architectures = values.architectures.split(",");
const unknown = architectures.find((architecture) => !(architecture in multiprocessors));
if (unknown !== undefined) {
  process.stderr.write(`kernel-report: no limits of sm_${unknown} here; see --help\n`);
  process.exit(2);
}

setPriority(10);
const engine = join(root, "native/engine");
const files = readdirSync(join(engine, "backends/cuda")).filter((name) => name.endsWith(".cu"));
const jobs = architectures.flatMap((architecture) => files.map((file) => [architecture, file]));
const rows = new Map();

/** Takes jobs until none is left. */
async function work() {
  for (let job = jobs.shift(); job; job = jobs.shift()) {
    const [architecture, file] = job;
    const options = ["-std=c++17", "-O3", "-DNDEBUG", "-I.", "-Xptxas", "-v", "-cubin"];
    const target = [`-arch=sm_${architecture}`, "-o", "/dev/null", `backends/cuda/${file}`];
    const text = await run("nvcc", [...options, ...target], engine);
    rows.set(
      job,
      kernelsOf(text).flatMap((kernel) => rowsOf(kernel, architecture)),
    );
  }
}

const order = [...jobs];
try {
  await Promise.all(Array.from({ length: availableParallelism() }, work));
} catch (error) {
  process.stderr.write(`kernel-report: ${error.message}\n`);
  process.exit(1);
}
const all = order
  .flatMap((job) => rows.get(job))
  .filter(({ kernel }) => kernel.includes(values.only));
if (values.json) process.stdout.write(`${JSON.stringify(all, null, 1)}\n`);
else print(all);
const unsized = new Set(all.filter(({ threads }) => !threads).map(({ kernel }) => kernel));
for (const kernel of unsized) {
  process.stderr.write(`${kernel}: scripts/kernel-report.mjs does not know its launch size\n`);
}
process.exitCode = unsized.size > 0 ? 1 : 0;
