// Small dense matrices, row-major, as core/src/hidden/small_matrix.cpp has them: the same sums in the same order.

export function identityMatrix(n: number): Float64Array {
    const a = new Float64Array(n * n);
    for (let i = 0; i < n; ++i) a[i * n + i] = 1;
    return a;
}

/** a b, [n, n] each. */
export function productOf(a: Float64Array, b: Float64Array, n: number): Float64Array {
    const c = new Float64Array(n * n);
    for (let i = 0; i < n; ++i)
        for (let j = 0; j < n; ++j) for (let k = 0; k < n; ++k) c[i * n + k]! += a[i * n + j]! * b[j * n + k]!;
    return c;
}

/** Of the largest entry: below it, a pivot is rounding. */
const negligible = 1e-12;

/** a^-1 by Gauss and Jordan with the largest pivots; undefined where there is none. */
export function inverseOf(a: Float64Array, n: number): Float64Array | undefined {
    const rest = a.slice(),
        result = identityMatrix(n);
    const largest = rest.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (let column = 0; column < n; ++column) {
        let pivot = column;
        for (let i = column + 1; i < n; ++i)
            if (Math.abs(rest[i * n + column]!) > Math.abs(rest[pivot * n + column]!)) pivot = i;
        const value = rest[pivot * n + column]!;
        if (!(Math.abs(value) > negligible * largest)) return undefined;
        for (const matrix of [rest, result]) {
            const row = matrix.slice(pivot * n, (pivot + 1) * n);
            matrix.copyWithin(pivot * n, column * n, (column + 1) * n);
            for (let j = 0; j < n; ++j) matrix[column * n + j] = row[j]! / value;
        }
        for (let i = 0; i < n; ++i) {
            const factor = rest[i * n + column]!;
            if (i === column || factor === 0) continue;
            for (const matrix of [rest, result])
                for (let j = 0; j < n; ++j) matrix[i * n + j]! -= factor * matrix[column * n + j]!;
        }
    }
    return result;
}
