// What the page says to copy, in its three languages, word for word. (maps.spec and quantised.spec run it.)
import { expect, test } from "@playwright/test";
import { pathOf, sayAs, type Doing, type MovedObject } from "../../web/src/lib/say-as";

const item = (name: string, paths = [name]) => ({
  id: name,
  name,
  files: paths.map((path) => ({ path, blob: new Blob() })),
});
const [a, b] = [item("a.safetensors"), item("b.safetensors")];
const settings = { statistic: "auto" as const, sites: [] };

const cases: { title: string; doing: Doing; objects: MovedObject[]; lines: Record<keyof typeof sayAs, string> }[] = [
  {
    title: "a gauge, with a quantised object and one that lives on neurons",
    doing: { how: "align", inputs: [a, b], settings: { statistic: "whitened", sites: ["resid.2"] }, hidden: true },
    objects: [
      { item: item("m.gguf"), dequantize: "bf16" },
      { item: item("v.npy"), site: "blocks.3.mlp.hook_post" },
    ],
    lines: {
      command: `npx regauge align a.safetensors b.safetensors --site resid.2 --statistic whitened --hidden -o gauge.json
npx regauge transport m.gguf --gauge gauge.json --dequantize bf16 -o m.moved.gguf
npx regauge transport v.npy --gauge gauge.json --site blocks.3.mlp.hook_post -o v.moved.npy`,
      JavaScript: `import { align, transport } from "regauge";

const gauge = await align("a.safetensors", "b.safetensors", {"sites":["resid.2"],"statistic":"whitened","hidden":true});
console.log(gauge.verdict, gauge.fingerprint);
await transport("m.gguf", gauge, { dequantize: "bf16", out: "m.moved.gguf" });
await transport("v.npy", gauge, { site: "blocks.3.mlp.hook_post", out: "v.moved.npy" });`,
      Python: `import regauge

gauge = regauge.align("a.safetensors", "b.safetensors", sites=["resid.2"], statistic="whitened", hidden=True)
print(gauge.verdict, gauge.fingerprint)
regauge.transport("m.gguf", gauge, dequantize="bf16", out="m.moved.gguf")
regauge.transport("v.npy", gauge, site="blocks.3.mlp.hook_post", out="v.moved.npy")`,
    },
  },
  {
    title: "maps, with a quantised object",
    doing: { how: "map", inputs: [a, b], settings: { sites: [] }, hidden: false },
    objects: [{ item: item("sae", ["sae.safetensors", "cfg.json"]), dequantize: "f32" }],
    lines: {
      command: `npx regauge map a.safetensors b.safetensors -o map.safetensors
npx regauge transport sae --map map.safetensors --dequantize f32 -o sae.moved`,
      JavaScript: `import { fitMap, transport } from "regauge";

const maps = await fitMap("a.safetensors", "b.safetensors");
console.log(maps.family, maps.fingerprint);
await transport("sae", maps, { dequantize: "f32", out: "sae.moved" });`,
      Python: `import regauge

maps = regauge.fit_map("a.safetensors", "b.safetensors")
print(maps.report.family, maps.report.fingerprint)
maps.transport("sae", dequantize="f32", out="sae.moved")`,
    },
  },
  {
    title: "a traced gauge, of models behind addresses",
    doing: {
      how: "trace",
      inputs: [a, { ...item("hub/m", ["config.json", "model.safetensors"]), address: "https://hub/m" }, b],
      settings,
      hidden: false,
    },
    objects: [],
    lines: {
      command: "npx regauge trace a.safetensors hub/m b.safetensors -o gauge.json",
      JavaScript: `import { trace } from "regauge";

const gauge = await trace(["a.safetensors", "https://hub/m", "b.safetensors"]);
console.log(gauge.verdict, gauge.fingerprint);`,
      Python: `import regauge

gauge = regauge.trace(["a.safetensors", "hub/m", "b.safetensors"])
print(gauge.verdict, gauge.fingerprint)`,
    },
  },
];

for (const { title, doing, objects, lines } of cases)
  for (const language of ["command", "JavaScript", "Python"] as const)
    test(`${title}: ${language}`, () => expect(sayAs[language](doing, objects)).toBe(lines[language]));

test("a folder keeps its name, dot and all; loose files are called as their weights are", () => {
  const files = ["model.safetensors", "config.json"];
  expect(pathOf(item("Qwen2.5", files))).toBe("Qwen2.5");
  expect(pathOf(item("model.safetensors", files))).toBe("model");
  expect(pathOf(item("model.safetensors"))).toBe("model.safetensors");
});
