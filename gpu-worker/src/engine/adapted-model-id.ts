/** The name that clients ask for to get a model with an adapter. */
export const adaptedModelId = (model: string, adapter: string): string => `${model}:${adapter}`;
