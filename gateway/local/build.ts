// `node gateway/local/build.ts`: bundles the gateway, so that the first start finds it done.
import { join } from "node:path";
import { bundle, root } from "./bundle.ts";

await bundle(join(root, ".anabranch/gateway"));
