interface ErrorBody {
  error?: { message?: string; code?: string | null };
}

/** A call that failed, with a message for people that says what to do. */
export class Failure extends Error {
  /** 0: no answer came. */
  readonly status: number;

  /** Nobody answered, or the connection broke. */
  readonly isLost: boolean;

  /** What happened, without what to do about it. */
  readonly said: string;

  constructor(status: number, said: string, { then = "", isLost = false } = {}) {
    super(said + then);
    this.status = status;
    this.said = said;
    this.isLost = isLost;
  }

  static ofBody(status: number, body: unknown): Failure {
    const said = (body as ErrorBody | null)?.error?.message ?? `The gateway answered ${status}.`;
    const then =
      status === 401
        ? " Sign out and in again with a credential that works."
        : status === 503
          ? " A worker may still be starting: look at the pool, then try again."
          : "";
    return new Failure(status, said, { then });
  }

  static async of(response: Response): Promise<Failure> {
    return Failure.ofBody(response.status, await response.json().catch(() => null));
  }

  /** What was thrown, as one of these. */
  static from(error: unknown): Failure {
    if (error instanceof Failure) return error;
    if (error instanceof TypeError) {
      const said = "The gateway does not answer. Is it still running?";
      return new Failure(0, said, { isLost: true });
    }
    return new Failure(0, error instanceof Error ? error.message : String(error));
  }
}
