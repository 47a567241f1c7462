// How models write calls of tools: what is around the names and arguments, to the character. A worker holds answers
// to it, and the gateway reads it.

export interface ToolFormat {
  /** The beginning of `first` that tells a call from text. */
  trigger: string;
  /** Whether a call can only be the beginning of an answer. */
  onlyFirst: boolean;
  /** Before the name of the first call. */
  first: string;
  /** Between a name and its arguments, which are a JSON object. */
  middle: string;
  /** Between the arguments of a call and the name of the next one; absent: an answer has one call. */
  next?: string;
  /** After the arguments of the last call. */
  last: string;
  /** Arguments are any text before `last`, which no text has, and calls stand anywhere in an answer. */
  free?: true;
  /** Other ways in which some models write a call that is their whole answer. */
  bare?: readonly BareCall[];
}

export interface BareCall {
  /** Before the name. */
  open: string;
  /** Between the name and the arguments. */
  middle: string;
  /** After the arguments. */
  last: string;
}

/** A name that may stand in a bare call. The tools' own names are such. */
export const bareName = /[A-Za-z0-9_.-]/;

const compact = { open: '{"name": "', middle: '", "arguments": ', last: "}" };
const indented = { open: '{\n  "name": "', middle: '",\n  "arguments": ', last: "\n}" };
const fenced = ({ open, middle, last }: BareCall): BareCall => ({
  ...{ open: `\`\`\`json\n${open}`, middle, last: `${last}\n\`\`\`` },
});

export const toolFormats = {
  /** Qwen's and Hermes'. Qwen2.5-Coder leaves the tags out. */
  hermes: {
    trigger: "<tool_call>",
    onlyFirst: false,
    first: '<tool_call>\n{"name": "',
    middle: '", "arguments": ',
    next: '}\n</tool_call>\n<tool_call>\n{"name": "',
    last: "}\n</tool_call>",
    bare: [compact, indented, fenced(compact), fenced(indented)],
  },
  llama3: {
    trigger: '{"name": "',
    onlyFirst: true,
    first: '{"name": "',
    middle: '", "parameters": ',
    last: "}",
  },
  mistral: {
    trigger: "[TOOL_CALLS]",
    onlyFirst: false,
    first: '[TOOL_CALLS][{"name": "',
    middle: '", "arguments": ',
    next: '}, {"name": "',
    last: "}]",
  },
  /** Of a server that tells calls apart itself: noncharacters of Unicode stand where they begin and end. */
  marked: {
    trigger: "\u{fdd0}",
    onlyFirst: false,
    first: "\u{fdd0}",
    middle: '"',
    last: "\u{fdd1}",
    free: true,
  },
} as const satisfies Record<string, ToolFormat>;

export type ToolFormatName = keyof typeof toolFormats;

/** The format of this name; undefined if there is none. */
export const toolFormatOf = (name: string): ToolFormat | undefined =>
  new Map<string, ToolFormat>(Object.entries(toolFormats)).get(name);
