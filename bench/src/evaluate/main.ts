// npm run evaluate: the answers of two models, or of one in two modes, compared.
import { failCommand } from "@anabranch/shared/cli/command.ts";
import { subject } from "./command.ts";

try {
  await subject.run(process.argv.slice(2));
} catch (error) {
  failCommand("evaluate", error);
}
