// Names of GGUF files. A split model is NAME-00001-of-00003.gguf and so on.
const ENDING = /\.gguf$/i;
const PART = /-(\d{5})-of-(\d{5})(\.gguf)$/i;

export const isGguf = (path: string): boolean => ENDING.test(path);

/** The name of the first part of a split model, which has its metadata; else the name itself. */
export const firstPart = (path: string): string => path.replace(PART, "-00001-of-$2$3");

/** All parts of a model, given any of them; else the name itself. */
export function partsOf(path: string): string[] {
  const count = Number(PART.exec(path)?.[2] ?? 0);
  if (count === 0) return [path];
  return Array.from({ length: count }, (_, index) =>
    path.replace(PART, `-${String(index + 1).padStart(5, "0")}-of-$2$3`),
  );
}

/** The models among the names of files, each by its first part. Vision projectors are no models. */
export function ggufModels(names: readonly string[]): string[] {
  const models = names.filter((name) => isGguf(name) && !/(^|\/)mmproj[^/]*$/i.test(name));
  return [...new Set(models.map(firstPart))].sort();
}

/** The name without its ending and part, quantisation included: "SmolLM2-135M-Instruct.Q4_1". */
export const stemOf = (name: string): string => name.replace(PART, "").replace(ENDING, "");
