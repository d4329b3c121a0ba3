// Whether this engine has relaxed SIMD.

/** A module, in hexadecimal, whose one function returns i16x8.relaxed_dot_i8x16_i7x16_s of two vectors. */
export const relaxedProduct =
    "0061736d01000000" + // wasm, version 1
    "0105016000017b" + // a type: no parameters, a vector as result
    "03020100" + // a function of that type
    "0a0f010d00" + // with this code:
    "4101fd0f" + // bytes of 1,
    "4102fd0f" + // of 2,
    "fd92020b"; // and their product

/** Whether it has: then regauge-mt-relaxed.wasm serves for regauge-mt.mjs, with the same answers. */
export const hasRelaxedSimd = (): boolean =>
    WebAssembly.validate(Uint8Array.from(relaxedProduct.match(/../g)!, (byte) => parseInt(byte, 16)));
