// Browsers start no worker from another origin, such as a CDN's, but a worker of the page's own may import from there.

/**
 * Where the module at `self` came from another origin: the address of a script of the page's own that imports what lies at `path` beside it.
 * Nothing where a worker may start from there at once, or where `self` is no web address (a bundler's).
 */
export function importedFromThere(self: string, path: string): string | undefined {
    const { protocol, origin } = new URL(self);
    if (!/^https?:$/.test(protocol) || origin === globalThis.origin) return undefined;
    const source = `import ${JSON.stringify(new URL(path, self).href)};`;
    return URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
}
