// One line an event on standard error; standard output belongs to commands' results.
const line = (level: string, message: string) =>
  process.stderr.write(`${new Date().toISOString()} ${level} worker: ${message}\n`);

export const log = {
  info: (message: string) => line("info", message),
  warn: (message: string) => line("warn", message),
  error: (message: string) => line("error", message),
};
