// The fake worker's model, and the scripts that a prompt can give it and the fake upstream.

export const fakeModel = {
  id: "fake",
  digest: "digest-of-fake",
  backend: "fake",
  dialect: "aspd",
  contextTokens: 4_096,
  defaultMaxTokens: 1_024,
};

/** What a prompt may ask of the fake worker, as JSON in the last message. */
export interface Script {
  /** Trunk text before the stage; a token is a word. */
  serial?: string;
  /** Title → body. */
  stage?: Record<string, string>;
  tail?: string;
  /** Answers with the sampling that it was asked for, as JSON. */
  saysSampling?: boolean;
  /** The same with its priority. */
  saysPriority?: boolean;
  stepMs?: number;
  /** Says nothing but heartbeats for so long, after Started. */
  silentMs?: number;
  /** Refuses before Started. */
  refuse?: "invalid_argument" | "out_of_range" | "resource_exhausted" | "unavailable";
  message?: string;
  /** Fails before this step. */
  dieAt?: number;
  /** Fails before this step the first time it answers this request, and not again. */
  dieOnceAt?: number;
  /** Says nothing more before this step, not even heartbeats, the first time. */
  hangOnceAt?: number;
  /** Only this choice fails. */
  diesAlone?: number;
  /** Says other words when it answers a request again. */
  forgetful?: boolean;
  /** A stop string ended the answer in this lane. */
  stopLane?: number;
}

/** What a prompt may ask of the fake upstream, as JSON in the last message. */
export interface UpstreamScript {
  /** Each is a chunk, and two tokens. */
  words?: string[];
  finish?: "stop" | "length" | "tool_calls";
  /** After the words: chunks of calls, as `delta.tool_calls` has them. */
  calls?: object[][];
  /** Answers with the request as it came. */
  saysBody?: boolean;
  /** Answers with the number of answers whose client left. */
  saysCut?: boolean;
  stepMs?: number;
  /** Refuses so. */
  status?: number;
  error?: object;
  headers?: Record<string, string>;
  /** Breaks the connection off before this word, as often as `dies` says. */
  dieAt?: number;
  dies?: number;
  /** Sends an error before this word. */
  failAt?: number;
}
