// What the subjects of `npm run bench` share: how each reads its options and prints its figures.
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";

type Values<Options extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: Options }>
>["values"];

interface Definition<Options extends ParseArgsOptionsConfig, Figures> {
  /** Printed with --help. */
  help: string;
  /** Beside --json and --help, which every subject takes. */
  options: Options;
  /** @throws Error if the options are wrong or the measurement fails */
  measure(values: Values<Options>): Promise<Figures>;
  /** The figures as text, printed without --json. */
  table(figures: Figures): string;
  /** Whether the process exits with 0; absent: always. */
  passed?(figures: Figures): boolean;
}

/** One subject of the bench, run with the arguments after its name. */
export interface Subject {
  run(argv: string[]): Promise<void>;
}

export function defineSubject<const Options extends ParseArgsOptionsConfig, Figures>({
  help,
  options,
  measure,
  table,
  passed = () => true,
}: Definition<Options, Figures>): Subject {
  const common = { json: { type: "boolean" }, help: { type: "boolean" } } as const;
  return {
    async run(argv) {
      const { values } = parseArgs({ args: argv, options: { ...options, ...common } });
      const { json, help: wantsHelp } = values as { json?: boolean; help?: boolean };
      if (wantsHelp) {
        process.stdout.write(help);
        return;
      }
      const figures = await measure(values as Values<Options>);
      process.stdout.write(json ? `${JSON.stringify(figures)}\n` : table(figures));
      if (!passed(figures)) process.exitCode = 1;
    },
  };
}
