// A server that answers as a hub of models does: /who/model/resolve/main/FILE redirects to another origin, which answers ranges, with the
// headers that let pages read them. Its faults are asked for by name.
import { createServer } from "node:http";
import { gzipSync } from "node:zlib";

const open = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "range",
    "access-control-expose-headers": "content-range, etag, accept-ranges",
};
/** Hubs say in a page why they give nothing. */
const page = { ...open, "content-type": "text/html" };

/**
 * files: contents by their names. fault(name, request): "whole" (no ranges), "short" (half of what it says), "changed" (another ETag),
 * "longer" (another size), "silent" (no Content-Range), "other" (bytes that were not asked for), "never" (no answer), "page" (HTML), "packed" (65 MB of spaces in 65 KB), or a status, whose answer is a page.
 * Gives the hub's address, what was asked (path, begin, end; as the files' server has it), and close().
 */
export async function serveHub(files, fault = () => undefined) {
    const asked = [];
    const store = createServer((request, response) => {
        const name = decodeURIComponent(new URL(request.url, "http://localhost").pathname.slice(1));
        const content = files[name];
        const kind = content ? fault(name, request) : 404;
        if (request.method === "OPTIONS") return response.writeHead(204, open).end();
        if (kind === "never") return;
        if (typeof kind === "number") return response.writeHead(kind, page).end("<p>");
        if (kind === "page") return response.writeHead(200, page).end("<p>");
        if (kind === "packed")
            return response
                .writeHead(200, { ...open, "content-encoding": "gzip" })
                .end(gzipSync(Buffer.alloc(65 * 2 ** 20, " ")));
        const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
        asked.push({ name, begin: Number(from ?? 0), end: from ? Number(to) + 1 : content.length });
        const head = { ...open, etag: kind === "changed" ? '"second"' : '"first"' };
        if (from === undefined || kind === "whole")
            return response.writeHead(200, { ...head, "content-length": content.length }).end(content);
        if (Number(from) >= content.length) return response.writeHead(416, head).end();
        const part = content.subarray(Number(from), Number(to) + 1);
        const size = content.length + (kind === "longer" ? 8 : 0);
        const begin = Number(from) + (kind === "other" ? 1 : 0);
        const range = { "content-range": `bytes ${begin}-${begin + part.length - 1}/${size}` };
        response.writeHead(206, { ...head, ...(kind === "silent" ? {} : range), "content-length": part.length });
        if (kind !== "short") return response.end(part);
        response.write(part.subarray(0, part.length / 2));
        setTimeout(() => response.destroy(), 20);
    });
    const front = createServer((request, response) => {
        const [, name] = /^\/who\/model\/resolve\/main\/(.+)$/.exec(request.url) ?? [];
        if (!name) return response.writeHead(404, open).end();
        response.writeHead(302, { ...open, location: `${addressOf(store)}/${name}?signed=once` }).end();
    });
    await Promise.all(
        [store, front].map((server) => new Promise((done) => server.listen(0, "127.0.0.1", () => done()))),
    );
    const close = () => {
        for (const server of [store, front]) (server.close(), server.closeAllConnections());
    };
    return { address: `${addressOf(front)}/who/model`, store: addressOf(store), asked, close };
}

const addressOf = (server) => `http://127.0.0.1:${server.address().port}`;
