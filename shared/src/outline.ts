/** What a worker says is the dialect of a model without markers: its answers branch at their lists. */
export const outlineDialect = "outline";
