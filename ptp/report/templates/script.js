(() => {
"use strict";
const root = document.documentElement;
const KEY = "ptp-theme";
const make = (name, attributes, text) => {
  const element = document.createElement(name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  if (text) element.textContent = text;
  return element;
};

/* The theme that the reader chose; a page that may keep nothing follows the system. */
const kept = (value) => {
  try {
    if (value) localStorage.setItem(KEY, value);
    return localStorage.getItem(KEY);
  } catch { return null; }
};
const asked = kept();
if (asked === "dark" || asked === "light") root.dataset.theme = asked;

const addTheme = () => {
  const button = make("button", { type: "button", class: "theme" }, "Dark");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const show = () => button.setAttribute("aria-pressed", isDark());
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    kept(root.dataset.theme);
    show();
  });
  system.addEventListener("change", show);
  show();
  document.querySelector(".bar .wide").append(button);
};

/* Sorting: by the number a cell begins with where every cell has one, else by its text. */
const numberIn = (text) => {
  const found = text.replace(/,/g, "").replace("\u2212", "-").match(/-?\d+(\.\d+)?(e[-+]?\d+)?/);
  return found ? parseFloat(found[0]) : NaN;
};
const addSorting = (table) => {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, place) => {
    const button = make("button", { type: "button", class: "sort" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [row, row.cells[place].textContent.trim()]);
      const full = rows.filter(([, text]) => text && text !== "\u2013");
      const numbers = head.classList.contains("num") || full.every(([, text]) => /^[-\u2212]?\d/.test(text));
      const compare = numbers
        ? (a, b) => numberIn(a[1]) - numberIn(b[1])
        : (a, b) => a[1].localeCompare(b[1], "en", { numeric: true });
      full.sort(up ? compare : (a, b) => compare(b, a));
      const empty = rows.filter((row) => !full.includes(row));
      body.append(...full.concat(empty).map(([row]) => row));
    });
  });
};

/* Filtering: every word of the field must stand in a row. */
const addFilter = (table, box) => {
  const rows = [...table.tBodies[0].rows];
  const caption = table.caption.textContent;
  const bar = make("div", { class: "filter" });
  const field = make("input", { type: "search", placeholder: "Filter", "aria-label": "Filter: " + caption, autocomplete: "off" });
  const count = make("span", { class: "mute", role: "status" });
  let texts = null;
  let state = "";
  const show = () => {
    texts = texts || rows.map((row) => row.textContent.toLowerCase());
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let seen = 0;
    rows.forEach((row, place) => {
      const fits = (!state || row.classList.contains(state)) && words.every((word) => texts[place].includes(word));
      if (row.hidden === fits) row.hidden = !fits;
      seen += fits;
    });
    count.textContent = words.length || state ? seen.toLocaleString("en") + " of " + rows.length.toLocaleString("en") : "";
  };
  field.addEventListener("input", show);
  bar.append(field);
  if (table.hasAttribute("data-states")) bar.append(addStates(rows, (name) => { state = name; show(); }));
  bar.append(count);
  box.before(bar);
};
const addStates = (rows, choose) => {
  const group = make("span", { class: "states", role: "group", "aria-label": "Show verdicts" });
  const counted = new Map();
  for (const row of rows) {
    const chip = row.className === "note" ? "Notes" : row.querySelector(".chip").lastChild.textContent.trim();
    const [, seen] = counted.get(row.className) || [chip, 0];
    counted.set(row.className, [chip, seen + 1]);
  }
  const buttons = [["", "All", rows.length], ...[...counted].map(([name, [word, n]]) => [name, word, n])].map(([name, word, n]) => {
    const button = make("button", { type: "button", "aria-pressed": name === "" }, word + " " + n.toLocaleString("en"));
    button.addEventListener("click", () => {
      for (const other of group.children) other.setAttribute("aria-pressed", other === button);
      choose(name);
    });
    return button;
  });
  group.append(...buttons);
  return group;
};

const addCopying = (box) => {
  const button = make("button", { type: "button", class: "copy", "aria-label": "Copy the command" }, "Copy");
  button.addEventListener("click", async () => {
    const code = box.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  box.append(button);
};

/* A link to a gate that the index leaves out leads on to the findings; one into a folded part unfolds it. */
const goOn = () => {
  const name = decodeURIComponent(location.hash.slice(1));
  const place = name && document.getElementById(name);
  if (place) place.closest("details")?.setAttribute("open", "");
  else if (/^gate-/.test(name) && !document.querySelector("table.all") && document.querySelector('.bar a[href="findings.html"]')) {
    location.replace("findings.html" + location.hash);
  }
};

document.addEventListener("DOMContentLoaded", () => {
  addTheme();
  document.querySelectorAll("main table").forEach((table) => {
    if (table.tBodies[0].rows.length > 1) addSorting(table);
    if (table.tBodies[0].rows.length > 12) addFilter(table, table.closest(".scroll"));
  });
  document.querySelectorAll(".command").forEach(addCopying);
  goOn();
  addEventListener("hashchange", goOn);
});
})();
