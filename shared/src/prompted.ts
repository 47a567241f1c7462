/**
 * The dialect of a worker whose model has no markers: it is asked for a plan in words, if a request wants
 * branches (`mode: "parallel"`).
 */
export const promptedDialect = "prompted";
