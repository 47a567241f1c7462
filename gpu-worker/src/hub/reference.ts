// A model of the Hugging Face Hub as `--model` names it: hf:OWNER/NAME[@REVISION][:FILE.gguf]

export interface HubReference {
  /** OWNER/NAME */
  repo: string;
  /** A branch, a tag or a commit. */
  revision: string;
  /** One GGUF file of the repository, as a path in it. */
  file?: string;
}

export const HUB_PREFIX = "hf:";

const shape = /^([\w.-]+\/[\w.-]+)(?:@([^:\s]+))?(?::(.+))?$/;

/** @throws Error if the text has another form */
export function parseHubReference(text: string): HubReference {
  const fail = (why: string): never => {
    throw new Error(
      `${text}: ${why}; write hf:OWNER/NAME, hf:OWNER/NAME@REVISION or either:FILE.gguf`,
    );
  };
  const match = shape.exec(text.slice(HUB_PREFIX.length)) ?? fail("is no model of the hub");
  const [, repo = "", revision = "main", file] = match;
  if (/--|\.\./.test(repo)) fail("OWNER/NAME has -- or .. in it");
  if (revision.split("/").some((part) => part === "" || /^\.+$/.test(part))) {
    fail("REVISION is not a branch, tag or commit");
  }
  if (file !== undefined && !/\.gguf$/i.test(file)) {
    fail("FILE does not end in .gguf (a model of several files needs no FILE)");
  }
  return { repo, revision, ...(file === undefined ? {} : { file }) };
}

export const textOf = ({ repo, revision, file }: HubReference): string =>
  [HUB_PREFIX, repo, revision === "main" ? "" : `@${revision}`, file ? `:${file}` : ""].join("");
