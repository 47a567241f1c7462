/**
 * The dialect of a worker whose model knows no markers: plans are asked for in words, where a request
 * wants branches (`mode: "parallel"`).
 */
export const promptedDialect = "prompted";
