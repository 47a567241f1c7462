// One line per event on standard error. Standard output belongs to the results of commands.
const line = (level: string, message: string) =>
  process.stderr.write(`${new Date().toISOString()} ${level} worker: ${message}\n`);

export const log = {
  info: (message: string) => line("info", message),
  warn: (message: string) => line("warn", message),
  error: (message: string) => line("error", message),
};
