// SHA-256 (FIPS 180-4) in plain JavaScript: crypto.subtle is asynchronous, and a fingerprint is not.

// FIPS 180-4 takes its constants from the fractions of the square and cube roots of the first primes. 32 bits of fraction leave a double
// 18 bits to spare, so that an engine's last-bit freedom in Math.cbrt does not reach them.
function constants(): { initial: Uint32Array; round: Uint32Array } {
    const initial = new Uint32Array(8),
        round = new Uint32Array(64);
    const fraction = (root: number): number => Math.floor((root % 1) * 2 ** 32);
    for (let candidate = 2, found = 0; found < 64; ++candidate) {
        let prime = true;
        for (let factor = 2; factor * factor <= candidate && prime; ++factor) prime = candidate % factor !== 0;
        if (!prime) continue;
        if (found < 8) initial[found] = fraction(Math.sqrt(candidate));
        round[found++] = fraction(Math.cbrt(candidate));
    }
    return { initial, round };
}

const rotate = (word: number, bits: number): number => (word >>> bits) | (word << (32 - bits));

/** The digest of `bytes` in hexadecimal. */
export function sha256(bytes: Uint8Array): string {
    const padded = new Uint8Array((((bytes.length + 8) >> 6) + 1) << 6);
    padded.set(bytes);
    padded[bytes.length] = 0x80;
    const view = new DataView(padded.buffer);
    view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
    view.setUint32(padded.length - 4, (bytes.length << 3) >>> 0);

    const { initial: state, round } = constants();
    const w = new Uint32Array(64);
    for (let block = 0; block < padded.length; block += 64) {
        for (let t = 0; t < 16; ++t) w[t] = view.getUint32(block + 4 * t);
        for (let t = 16; t < 64; ++t) {
            const x = w[t - 15]!,
                y = w[t - 2]!;
            const s0 = rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3);
            const s1 = rotate(y, 17) ^ rotate(y, 19) ^ (y >>> 10);
            w[t] = w[t - 16]! + s0 + w[t - 7]! + s1;
        }
        let [a, b, c, d, e, f, g, h] = state as unknown as [
            number,
            number,
            number,
            number,
            number,
            number,
            number,
            number,
        ];
        for (let t = 0; t < 64; ++t) {
            const t1 =
                (h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + round[t]! + w[t]!) | 0;
            const t2 = ((rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
            ((h = g), (g = f), (f = e), (e = (d + t1) | 0), (d = c), (c = b), (b = a), (a = (t1 + t2) | 0));
        }
        const words = [a, b, c, d, e, f, g, h];
        for (let k = 0; k < 8; ++k) state[k] = state[k]! + words[k]!;
    }
    return Array.from(state, (word) => word.toString(16).padStart(8, "0")).join("");
}
