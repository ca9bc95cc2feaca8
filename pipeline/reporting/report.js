// Draws the charts of the page: specifications lie in #charts, by the id of the element that each belongs in.
"use strict";

// The names of the models, beside their points: Vega tries these places in turn, and takes the first where
// neither a point, a line nor another name is in the way. Farther places come last.
const SIDES = ["right", "left", "top", "bottom", "top-right", "bottom-right", "top-left", "bottom-left"];
const GAPS = [6, 14, 24, 36, 50];

function withNames(vega) {
  const points = vega.marks.find((mark) => mark.name === "models_marks");
  if (points === undefined) return vega;
  vega.marks.push({
    type: "text",
    name: "names",
    interactive: false,
    from: { data: points.name },
    encode: {
      enter: { text: { field: "datum.name" }, fontSize: { value: 12 } },
      update: { opacity: { field: "opacity" } },
    },
    transform: [
      {
        type: "label",
        size: { signal: "[max(width, 1), max(height, 1)]" }, // no width before the page has one
        avoidMarks: ["front_marks", "level_marks"],
        anchor: GAPS.flatMap(() => SIDES),
        offset: GAPS.flatMap((gap) => SIDES.map(() => gap)),
      },
    ],
  });
  return vega;
}

const OPTIONS = {
  mode: "vega-lite",
  renderer: "svg",
  ast: true, // expressions are interpreted: the page may run no text as code
  actions: false,
  defaultStyle: false,
  patch: withNames,
  config: {
    background: null,
    font: "system-ui, sans-serif",
    view: { stroke: null },
    axis: { labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", titlePadding: 8, domain: false, ticks: false, labelPadding: 6 },
    legend: { labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", symbolType: "circle" },
  },
};

async function draw() {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  for (const [id, spec] of Object.entries(charts)) {
    const place = document.getElementById(id);
    try {
      await vegaEmbed(place, spec, OPTIONS);
    } catch (error) {
      place.textContent = `This chart could not be drawn: ${error.message}`;
      console.error(error);
    }
  }
  document.documentElement.dataset.charts = "drawn";
}

draw();
