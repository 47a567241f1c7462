// Request bodies: bounded, valid UTF-8, JSON, and of the declared shape. Each refusal names the fault.
import type { z } from "zod";
import { ApiError, badField } from "../api-error.ts";
import { checkBounds } from "./json-bounds.ts";

/** Bodies of this many bytes or more are refused. */
export const bodyLimit = 10_000_000;
/** How much of a refused body is still read, so that its sender receives the response. */
const discardLimit = 64_000_000;

const tooLarge = () =>
  new ApiError(413, `The request body must be smaller than ${bodyLimit} bytes.`, {
    code: "request_too_large",
  });

/** How long a sender may pause within a body, and how long a whole body may take. */
const pauseMs = 10_000;
const bodyMs = 60_000;

const tooSlow = () =>
  new ApiError(408, "The request body did not arrive in time.", {
    code: "request_timeout",
    // Whatever arrives now belongs to no request.
    headers: { connection: "close" },
  });

const cutOff = () =>
  new ApiError(400, "The request body ended before its announced length.", {
    code: "incomplete_body",
  });

/** Bytes of a body that are read at once, if it has so many. Streams of workerd give 4 KiB if not asked for more. */
const partBytes = 64 * 1024;
const leastBytes = 1024;

/**
 * The next part of the body, in the memory of `into`, which is gone then. Throws ApiError if it breaks off or does not
 * come within `ms`.
 */
async function nextPart(
  reader: ReadableStreamBYOBReader,
  into: Uint8Array,
  ms: number,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  let timer: ReturnType<typeof setTimeout> | null = null;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooSlow()), ms);
  });
  const part = reader.read(into).catch(() => Promise.reject(cutOff()));
  return await Promise.race([part, late]).finally(() => clearTimeout(timer));
}

/** `bytes`, or a copy with room for `size` of them and more. */
function withRoom(bytes: Uint8Array, size: number): Uint8Array {
  if (size <= bytes.byteLength) return bytes;
  const larger = new Uint8Array(Math.max(size, 2 * bytes.byteLength));
  larger.set(bytes);
  return larger;
}

/** Counts the bytes that arrive: Content-Length may be wrong, and chunked bodies have none. */
async function readBytes(request: Request): Promise<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? partBytes);
  let part: Uint8Array = new Uint8Array(Math.max(leastBytes, Math.min(partBytes, announced)));
  let bytes: Uint8Array = new Uint8Array(0);
  let size = 0;
  const deadline = Date.now() + bodyMs;
  const reader = request.body?.getReader({ mode: "byob" });
  while (reader && size < discardLimit) {
    const wait = Math.min(pauseMs, Math.max(0, deadline - Date.now()));
    const { done, value } = await nextPart(reader, part, wait);
    if (done) break;
    const end = size + value.byteLength;
    if (end < bodyLimit) {
      bytes = withRoom(bytes, end);
      bytes.set(value, size);
    } else {
      bytes = new Uint8Array(0);
    }
    size = end;
    part = new Uint8Array(value.buffer);
  }
  if (size >= bodyLimit) throw tooLarge();
  return bytes.subarray(0, size);
}

function refuseEncoded(request: Request): void {
  const encoding = request.headers.get("content-encoding") ?? "identity";
  if (encoding.trim().toLowerCase() === "identity") return;
  throw new ApiError(
    415,
    `Bodies with Content-Encoding '${encoding}' are not supported; send the JSON as it is.`,
    { code: "unsupported_encoding", headers: { "accept-encoding": "identity" } },
  );
}

/** A seed that may be no exact number of JavaScript. */
const longSeed = /"seed"\s*:\s*-?\d{16}/;

/** The JSON value of `text`, with its own `seed` as a bigint if it is an integer that a number can't hold. */
function parseWithSeed(text: string): unknown {
  const seeds = new Map<unknown, bigint>();
  const value: unknown = JSON.parse(text, function (key, found, context?: { source: string }) {
    const source = context?.source ?? "";
    if (key === "seed" && !Number.isSafeInteger(found) && /^-?\d{1,30}$/.test(source)) {
      seeds.set(this, BigInt(source));
    }
    return found;
  });
  const seed = seeds.get(value);
  return seed === undefined ? value : { ...(value as object), seed };
}

async function readJson(request: Request): Promise<unknown> {
  refuseEncoded(request);
  const bytes = await readBytes(request);
  checkBounds(bytes);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new ApiError(400, "The request body is not valid UTF-8.", { code: "invalid_utf8" });
  }
  try {
    return longSeed.test(text) ? parseWithSeed(text) : JSON.parse(text);
  } catch {
    throw new ApiError(400, "We could not parse the JSON body of your request.", {
      code: "invalid_json",
    });
  }
}

/** `["messages", 0, "content"]` → `messages[0].content` */
function pathName(path: readonly PropertyKey[]): string {
  return path.reduce<string>((name, part) => {
    if (typeof part === "number") return `${name}[${part}]`;
    return name === "" ? String(part) : `${name}.${String(part)}`;
  }, "");
}

type Issue = z.core.$ZodIssue;

interface Fault {
  path: PropertyKey[];
  message: string;
  /** What could stand there; null if it is of the right kind, and wrong in another way. */
  expected: string[] | null;
}

function expectedBy(issue: Issue): string[] | null {
  if (issue.code === "invalid_type") return [issue.expected];
  if (issue.code === "invalid_value") return issue.values.map((value) => JSON.stringify(value));
  return null;
}

const samePath = (a: PropertyKey[], b: PropertyKey[]) =>
  a.length === b.length && a.every((part, i) => part === b[i]);

/**
 * What to tell the client. Of a union's alternatives: the fault of one that has the right kind of value, else the
 * deepest; what could stand at that place is told together.
 */
function faultOf(issue: Issue): Fault {
  const { path } = issue;
  const message = (issue.code === "invalid_key" && issue.issues[0]?.message) || issue.message;
  if (issue.code !== "invalid_union") return { path, message, expected: expectedBy(issue) };
  const faults = issue.errors
    .flatMap(([first]) => (first ? [faultOf(first)] : []))
    .map((fault) => ({ ...fault, path: [...path, ...fault.path] }))
    .sort((a, b) => b.path.length - a.path.length);
  const [deepest] = faults;
  if (!deepest) return { path, message, expected: null };
  const told = faults.find(({ expected }) => expected === null);
  if (told) return told;
  const together = faults.filter((fault) => samePath(fault.path, deepest.path));
  const expected = [...new Set(together.flatMap((fault) => fault.expected ?? []))];
  return { path: deepest.path, expected, message: `expected ${expected.join(" or ")}` };
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const part of path) {
    if (typeof at !== "object" || at === null) return undefined;
    at = Reflect.get(at, part);
  }
  return at;
}

function refusal(error: z.ZodError, value: unknown): ApiError {
  const [first] = error.issues;
  const invalid = (message: string) => new ApiError(400, message, { code: "invalid_value" });
  if (!first) return invalid("The request body is invalid.");
  if (first.code === "unrecognized_keys") {
    const name = pathName([...first.path, ...first.keys.slice(0, 1)]);
    return badField(name, `Unknown parameter: '${name}'.`, "unknown_parameter");
  }
  const { path, message } = faultOf(first);
  const name = pathName(path);
  if (name === "") return invalid("The request body must be a JSON object.");
  if (valueAt(value, path) === undefined) {
    return badField(name, `Missing required parameter: '${name}'.`, "missing_required_parameter");
  }
  // Zod says so itself, too.
  const why = message.replace(/^Invalid (input|option|discriminator value)[:.] /, "");
  return badField(name, `Invalid value for '${name}': ${why.replace(/\.$/, "")}.`);
}

/** Validation ends at the first fault: a body may have a million, and the client is told of one. */
const firstFault: z.core.ParseContextInternal<Issue> = { abortEarly: true };

/** Reads a request's body by `schema`. Throws ApiError for the client. */
export async function readBody<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
): Promise<z.output<Schema>> {
  const value = await readJson(request);
  const parsed = schema.safeParse(value, firstFault);
  if (!parsed.success) throw refusal(parsed.error, value);
  return parsed.data;
}

/** The same for a query string. */
export function readQuery<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
): z.output<Schema> {
  const value = Object.fromEntries(new URL(request.url).searchParams);
  const parsed = schema.safeParse(value, firstFault);
  if (!parsed.success) throw refusal(parsed.error, value);
  return parsed.data;
}
