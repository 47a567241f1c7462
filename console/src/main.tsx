import { render } from "preact";
import { App } from "./app.tsx";
import { signInByLink } from "./session.ts";
import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/layout.css";
import "./styles/river.css";
import "./styles/playground.css";
import "./styles/operator.css";
import "./styles/reference.css";

const at = document.getElementById("console");
if (!at) throw new Error("the page has no place for the console");
await signInByLink();
// A link that is opened in a tab that shows the console already.
addEventListener("hashchange", () => void signInByLink());
render(<App />, at);
