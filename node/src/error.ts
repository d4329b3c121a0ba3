// Every refusal, as C++ and JavaScript state it.

/** The ways in which regauge refuses: the table of core/include/regauge/error.hpp. A test proves that the two agree. */
export const errorCodes = [
    "usage",
    "missingFile",
    "outputExists",
    "writeFailed",
    "truncated",
    "malformed",
    "unsupported",
    "wrongDtype",
    "shapeMismatch",
    "rowsMismatch",
    "tokensDiffer",
    "notFinite",
    "dimensionMismatch",
    "invalidGauge",
    "undeterminedSign",
    "unknownTensor",
    "ambiguous",
    "unrelated",
    "tooLarge",
    "cancelled",
    "internal",
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** A refusal: what was expected, what was found and what to do, in one sentence. `message` is "where: sentence". */
export class RegaugeError extends Error {
    override readonly name = "RegaugeError";
    /** What kind of refusal it is. */
    readonly code: ErrorCode;
    /** A file, a tensor in it, or "". */
    readonly where: string;

    constructor(code: ErrorCode, where: string, message: string) {
        super(message);
        this.code = code;
        this.where = where;
    }
}

/** A value as a message shows it. */
export function shown(value: unknown): string {
    let text: string;
    try {
        text = JSON.stringify(value) ?? String(value);
    } catch {
        text = typeof value === "object" ? "an object" : String(value); // in a circle; a bigint
    }
    return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}

/** A refusal from its place and its sentence. */
export function refusal(code: ErrorCode, where: string, sentence: string): RegaugeError {
    return new RegaugeError(code, where, where === "" ? sentence : `${where}: ${sentence}`);
}
