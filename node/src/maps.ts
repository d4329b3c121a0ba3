// Maps between two models' sites: what fitMap gives and a map file keeps.

import { refusal } from "./error.js";
import { requireNumbers } from "./lists.js";

/** The ladder, lowest rung first; "none" where no map helps. */
export type MapFamily = "identity" | "gauge" | "orthogonal" | "affine";

/** How one rung did on rows that it was not fitted to. */
export interface MapRung {
    readonly family: MapFamily;
    /** Share of the target's held-out variance that it explains. */
    readonly r2: number;
    /** How much less than the best rung. */
    readonly behind: number;
    /** How much of that the rows cannot tell from nothing. */
    readonly doubt: number;
}

/** What is known of the map of one pair of sites; the names are the command's (`regauge map --json`). */
export interface MapReport {
    readonly family: MapFamily | "none";
    /** Whether it explains more of the target than its mean does, by more than the rows can tell. */
    readonly helps: boolean;
    /** Whether its figures were measured: false of a file without the fingerprint that they go with. */
    readonly judged: boolean;
    readonly source_site: string;
    readonly target_site: string;
    readonly d_source: number;
    readonly d_target: number;
    /** Held out: the share of the target's variance that M x + b explains, and of the source's that N y + c does. */
    readonly r2: number;
    readonly r2_back: number;
    /** The mean of channel_r2: where a few channels hold most of the variance, r2 is theirs, and this is not. */
    readonly r2_mean_channel: number;
    /** Of r2: what the same rows explain of the target when given the target itself. */
    readonly ceiling: number;
    /** Held out: the share of the source's variance that comes back from the target. */
    readonly round_trip: number;
    readonly rows: number;
    readonly set_aside: number;
    /** In the units of scikit-learn's alpha; 0 where the map is not affine. */
    readonly ridge: number;
    readonly ridge_back: number;
    readonly fingerprint: string;
    readonly rungs: readonly MapRung[];
    readonly channel_r2: readonly number[];
}

/** How well an affine map of one pair of sites does, held out: R2 over source and target depth. */
export interface MapDepth {
    readonly source_site: string;
    readonly target_site: string;
    readonly r2: number;
    /** Of the source by the target, the mean over channels: what a source site's place is chosen by. */
    readonly r2_known: number;
}

/** The best map's report, with all of them. */
export interface MapsReport extends MapReport {
    readonly source: string;
    readonly target: string;
    readonly pairs: readonly MapReport[];
    readonly depths: readonly MapDepth[];
}

type Header = Record<string, { readonly shape: readonly number[]; readonly data_offsets: readonly [number, number] }>;

/** A map's numbers: y = M x + b, and the way back x = N y + c. */
interface Numbers {
    readonly forward: Float32Array;
    readonly forward_bias: Float32Array;
    readonly backward: Float32Array;
    readonly backward_bias: Float32Array;
}

/** The maps between two models, one a pair of sites. */
export class Maps {
    /** The map file (safetensors): what `transport` takes, here and in the command. */
    readonly file: File;
    readonly report: MapsReport;
    readonly #numbers: readonly Numbers[];

    private constructor(file: File, report: MapsReport, numbers: readonly Numbers[]) {
        this.file = file;
        this.report = report;
        this.#numbers = numbers;
    }

    /** A map file as fitMap wrote it, with its report. Rejects with RegaugeError(malformed). */
    static async from(file: File, report: MapsReport): Promise<Maps> {
        try {
            return await Maps.#read(file, report);
        } catch {
            throw refusal("malformed", "maps", "expected a map file and its report, as fitMap gives them");
        }
    }

    static async #read(file: File, report: MapsReport): Promise<Maps> {
        const bytes = await file.arrayBuffer();
        const length = Number(new DataView(bytes).getBigUint64(0, true));
        const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length))) as Header;
        const floats = (name: string): Float32Array => {
            const [begin, end] = header[name]!.data_offsets;
            return new Float32Array(bytes.slice(8 + length + begin, 8 + length + end));
        };
        const numbers = report.pairs.map(({ source_site, target_site }): Numbers => {
            const prefix = report.pairs.length === 1 ? "" : `${source_site}=${target_site}/`;
            const of = (name: keyof Numbers): Float32Array => floats(prefix + name);
            return {
                forward: of("forward"),
                forward_bias: of("forward_bias"),
                backward: of("backward"),
                backward_bias: of("backward_bias"),
            };
        });
        return new Maps(file, report, numbers);
    }

    /** The best map's family; "none" where no map helps. */
    get family(): MapFamily | "none" {
        return this.report.family;
    }

    /** SHA-256 of all maps' numbers: the same natively, in Node and in browsers. */
    get fingerprint(): string {
        return this.report.fingerprint;
    }

    /** M x + b in the target's coordinates, sums in float64. site: "resid.8=resid.12" or the source's "resid.8", where there are several. */
    apply(x: ArrayLike<number>, site?: string): Float32Array {
        const { forward, forward_bias } = this.#numbers[this.#place(site)]!;
        return affine(forward, forward_bias, x);
    }

    /** N y + c: from the target back to the source, fitted the same way and not the inverse. */
    applyBack(y: ArrayLike<number>, site?: string): Float32Array {
        const { backward, backward_bias } = this.#numbers[this.#place(site)]!;
        return affine(backward, backward_bias, y);
    }

    /** As `transport` chooses: by the source's site, or by both. */
    #place(site?: string): number {
        const { pairs } = this.report;
        if (site === undefined && pairs.length === 1) return 0;
        const names = pairs.map(({ source_site, target_site }) => `${source_site}=${target_site}`);
        const found = pairs.findIndex(({ source_site }, k) => site === source_site || site === names[k]);
        if (found < 0)
            throw refusal(
                "usage",
                site ?? "map",
                `${site === undefined ? "there are several maps" : "there is no such map"}; name one of ${names.join(", ")}`,
            );
        return found;
    }
}

function affine(matrix: Float32Array, bias: Float32Array, x: ArrayLike<number>): Float32Array {
    const width = matrix.length / bias.length;
    requireNumbers(x, width, `this side of the map has ${width} channels`);
    return Float32Array.from(bias, (offset, row) => {
        let sum = 0;
        for (let k = 0; k < width; ++k) sum += matrix[row * width + k]! * x[k]!;
        return sum + offset;
    });
}
