// Models behind web addresses: a hub's, read by range; and every way in which a server can fail, one true sentence each.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { addressesAsked, align, inspect, isUrlFile, openUrl, transport } from "regauge";

import { serveHub } from "./hub.mjs";
import { randomNumbers, shipped, truth } from "./helpers.mjs";
import { safetensors } from "./safetensors.mjs";

const contents = (side) =>
    Object.fromEntries(
        ["config.json", "model.safetensors"].map((name) => [name, readFileSync(join(shipped, side, name))]),
    );
const weights = "model.safetensors";

/** A hub that is gone after the test. */
async function hub(t, files, fault) {
    const served = await serveHub(files, fault);
    t.after(() => served.close());
    return served;
}

/** Two models' files; the second's lie at `twins`. */
const models = async (t) => [await hub(t, contents("source")), await hub(t, contents("other_run"))];

test("a gauge between two models on a hub is the gauge between their files, through redirects", async (t) => {
    const [source, target] = await models(t);
    const gauge = await align(source.address, target.address);
    const local = await align(join(shipped, "source"), join(shipped, "other_run"));
    assert.equal(gauge.fingerprint, local.fingerprint);
    assert.equal(gauge.toJSON().source.name, "model");
});

/** A checkpoint whose layers outweigh its embedding: what is not asked for must not be fetched. */
function checkpoint(seed) {
    const next = randomNumbers(seed);
    const shapes = { "model.embed_tokens.weight": [2048, 64], "model.norm.weight": [64] };
    for (let layer = 0; layer < 6; ++layer) {
        shapes[`model.layers.${layer}.input_layernorm.weight`] = [64];
        shapes[`model.layers.${layer}.mlp.up_proj.weight`] = [16384, 64];
        shapes[`model.layers.${layer}.post_attention_layernorm.weight`] = [64];
    }
    const tensors = Object.entries(shapes).map(([name, shape]) => {
        const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
        if (!name.includes("up_proj")) for (let k = 0; k < data.length; ++k) data[k] = next() - 0.5;
        return [name, { shape, data }];
    });
    return {
        "config.json": Buffer.from(JSON.stringify({ model_type: "llama", hidden_size: 64, tie_word_embeddings: true })),
        [weights]: safetensors(Object.fromEntries(tensors)),
    };
}

test("with the embedding's site, what is fetched is the header, the gains and the embedding", async (t) => {
    const files = [checkpoint(1), checkpoint(1)];
    const [source, target] = [await hub(t, files[0]), await hub(t, files[1])];
    const gauge = await align(source.address, target.address, { sites: ["embedding"] });
    assert.equal(gauge.verdict, "aligned");
    const whole = files[0][weights].length,
        embedding = 4 * 2048 * 64,
        piece = 64 * 1024;
    const fetched = source.asked.reduce((sum, { begin, end }) => sum + end - begin, 0);
    assert(fetched < 2 * embedding + 16 * piece, `${fetched} bytes of ${whole}`);
    assert(fetched < whole / 8);
});

test("a file's address is a file, and its header is read before anything else of it", async (t) => {
    const { store, asked } = await hub(t, contents("source"));
    const plan = await inspect(`${store}/${weights}`);
    assert.equal(plan.d, 64);
    const [first, second] = asked;
    assert.deepEqual([first.begin, first.end], [0, 1]);
    assert.equal(second.begin, 0);
    assert(asked.length <= 4, `${asked.length} requests`);
});

test("what openUrl finds goes in as often as one likes, and is described once", async (t) => {
    const { address, asked } = await hub(t, contents("source"));
    const found = await openUrl(address);
    assert(isUrlFile(structuredClone(found)[weights]));
    assert.equal(found[weights].size, contents("source")[weights].length);
    asked.length = 0;
    await inspect(found);
    await inspect(found);
    assert(asked.every(({ name }) => name === weights));
});

test("a model of several files is found by its index, and nothing that is not beside it", async (t) => {
    const { "config.json": config, [weights]: all } = contents("source");
    const index = (name) => Buffer.from(JSON.stringify({ weight_map: { a: name } }));
    const files = { "config.json": config, "model-00001-of-00001.safetensors": all };
    const name = "model.safetensors.index.json";
    const { address } = await hub(t, { ...files, [name]: index("model-00001-of-00001.safetensors") });
    assert.deepEqual(Object.keys(await openUrl(address)).sort(), ["config.json", ...Object.keys(files).slice(1), name]);
    const outside = await hub(t, { ...files, [name]: index("../../secret.safetensors") });
    await assert.rejects(openUrl(outside.address), { code: "malformed" });
    const missing = await hub(t, { ...files, [name]: index("model-00002.safetensors") });
    await assert.rejects(openUrl(missing.address), { code: "missingFile", message: /00002.*index\.json names it/ });
});

test("what moves from a hub is moved to the byte", async (t) => {
    const { store } = await hub(t, contents("source"));
    const gauge = truth("other_run", shipped);
    const moved = async (object) => (await transport(object, gauge)).files[0].blob.arrayBuffer();
    const [far, near] = [await moved(`${store}/${weights}`), await moved(join(shipped, "source", weights))];
    assert(Buffer.from(far).equals(Buffer.from(near)));
});

test("the addresses that will be asked can be said before", () => {
    const names = ["config.json", weights, `${weights}.index.json`];
    const under = (folder) => names.map((name) => folder + name);
    assert.deepEqual(addressesAsked("https://hub.test/a/b"), under("https://hub.test/a/b/resolve/main/"));
    assert.deepEqual(addressesAsked("https://hub.test/a/b/tree/v2"), under("https://hub.test/a/b/resolve/v2/"));
    assert.deepEqual(addressesAsked("https://files.test/x/"), under("https://files.test/x/"));
    assert.deepEqual(addressesAsked("https://x.test/a.npy?key=1"), ["https://x.test/a.npy?key=1"]);
});

// After the description: the faults of a server while a job reads.
const later =
    (kind) =>
    (name, { headers }) =>
        name === weights && headers.range !== "bytes=0-0" ? kind : undefined;
const faults = [
    [() => 401, "missingFile", /not given to everyone \(the server answered 401\), or there is no such model/],
    [() => 403, "missingFile", /answered 403/],
    [() => 404, "missingFile", /is not there|has neither/],
    [() => 429, "missingFile", /too often \(429\)/],
    [() => 503, "missingFile", /answered 503\); try again later/],
    [() => "whole", "unsupported", /comes whole only/],
    [() => "page", "unsupported", /a page to look at/],
    [() => "silent", "unsupported", /without saying which/],
    [later("short"), "truncated", /broke off: \d+ of \d+ bytes/],
    [later("changed"), "truncated", /ETag is "second", and was "first"/],
    [later("longer"), "truncated", /has \d+ bytes, and had \d+/],
    [later("other"), "malformed", /was asked for bytes 0-\d+, and its server sent bytes 1-/],
    [later(401), "missingFile", /answered 401/],
    [later(416), "truncated", /answered 416/],
];
for (const [fault, code, words] of faults)
    test(`of a server that fails so, the sentence says ${words}`, async (t) => {
        const { store, address } = await hub(t, contents("source"), fault);
        const refused = (error) => {
            assert.equal(error.code, code, error.message);
            assert.match(error.message, words);
            assert.match(error.message, /127\.0\.0\.1|model/);
            return true;
        };
        await assert.rejects(inspect(`${store}/${weights}`), refused);
        await assert.rejects(inspect(address), refused);
    });

test("a small file that unfolds beyond its kind is given up on the way", async (t) => {
    const { address } = await hub(t, contents("source"), (name) => (name === "config.json" ? "packed" : undefined));
    await assert.rejects(inspect(address), { code: "tooLarge", message: /config\.json: is too long/ });
});

test("a server that never answers is waited for no longer than the signal says", async (t) => {
    const reason = new Error("enough");
    const { store, address } = await hub(t, contents("source"), () => "never");
    for (const call of [
        (signal) => inspect(address, { signal }),
        (signal) => inspect(`${store}/${weights}`, { signal }),
        (signal) => align(address, join(shipped, "source"), { signal }),
    ]) {
        const stop = new AbortController();
        setTimeout(() => stop.abort(reason), 100);
        await assert.rejects(call(stop.signal), (error) => error === reason);
    }
});

test("a server that is not there, a name with a password, and what is no server's", async (t) => {
    const { store, close } = await hub(t, {});
    close();
    await assert.rejects(inspect(`${store}/${weights}`), {
        code: "missingFile",
        message: /cannot be reached: .*REFUSED/,
    });
    await assert.rejects(inspect("https://me:secret@hub.test/a/b"), (error) => !error.message.includes("secret"));
    await assert.rejects(inspect("data:text/plain,x"), { code: "usage", message: /await fetch\(url\)/ });
});

test("nothing is asked of anyone where no address is given", async (t) => {
    const before = globalThis.fetch;
    t.after(() => (globalThis.fetch = before));
    globalThis.fetch = () => assert.fail("asked");
    await align(join(shipped, "source"), join(shipped, "other_run"), { sites: ["embedding"] });
});
