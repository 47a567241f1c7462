// The last line of `npm test`: how many tests passed and failed, or that there was nothing to run.
import type { Reporter, TestModule } from "vitest/node";

export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    let passed = 0;
    // An error outside any test, such as a file that does not load, counts as a failure.
    let failed = errors.length;
    for (const module of modules) {
      failed += module.errors().length;
      // A suite that can't be collected, such as one without a test, fails without a failed test.
      for (const suite of module.children.allSuites()) failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "passed") passed++;
        else if (state === "failed") failed++;
      }
    }
    const line =
      modules.length === 0 && failed === 0
        ? "no test file matches"
        : passed + failed === 0
          ? "no test matches"
          : `${passed} passed, ${failed} failed`;
    // After the other reporters' summary, which is written in this same turn.
    process.on("exit", () => process.stdout.write(`${line}\n`));
  }
}
