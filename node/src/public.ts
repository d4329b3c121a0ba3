// What the package gives on both platforms, beside the calls.

export { errorCodes, RegaugeError, type ErrorCode } from "./error.js";
export { Gauge, type Agreement, type GaugeDetails, type GaugeInput, type Vector } from "./gauge.js";
export {
    Hidden,
    type HiddenAgreement,
    type HiddenJson,
    type HiddenLayer,
    type HiddenLayerJson,
    type HiddenReport,
    type HiddenShape,
    type IdentityAgreement,
    type UnitScores,
} from "./hidden.js";
export type { Float16Numbers, Floats, Tensor } from "./floats.js";
export type { GaugeJson, Group, Side, SiteSummary, Statistic, Summary, Verdict } from "./gauge-json.js";
export type { Api } from "./api.js";
export type { Bytes, EvidenceInput, FileInput, ObjectInput, TokensInput, VectorInput } from "./inputs.js";
export { Maps, type MapDepth, type MapFamily, type MapReport, type MapRung, type MapsReport } from "./maps.js";
export type { MemoryEvidence, Rows } from "./memory-evidence.js";
export type { OutputFile } from "./memory-files.js";
export type { ProgressReport } from "./protocol.js";
export type * from "./reports.js";
export type * from "./types.js";
export type { IdArray } from "./token-ids.js";
export { TracedGauge, type Hop, type TraceReport } from "./traced-gauge.js";
export { addressesAsked, isUrlFile, modelName, openUrl, type UrlFile, type UrlFolder } from "./url-files.js";
export { version } from "./version.js";
