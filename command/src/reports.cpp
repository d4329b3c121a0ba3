#include "regauge/reports.hpp"

#include <nlohmann/json.hpp>

#include "io/json_text.hpp"

namespace regauge {
namespace {

using Json = nlohmann::ordered_json;

Json numberJson(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }
Json numberJson(const std::optional<Spread>& spread) {
    return spread ? Json{{"mean", spread->mean}, {"p5", spread->low}, {"p95", spread->high}} : Json(nullptr);
}
template <class Number>
Json survivalJson(const Survival<Number>& survival) {
    return {{"overlap", numberJson(survival.overlap)},
            {"rank_correlation", numberJson(survival.rank)},
            {"sign_agreement", numberJson(survival.sign)}};
}

Json continuationObject(const Continuation& continuation, const std::optional<Vocabulary>& vocabulary) {
    Json json{{"tokens", continuation.tokens}, {"log_probabilities", continuation.logProbabilities}};
    if (vocabulary) json["text"] = vocabulary->text(continuation.tokens);
    return json;
}

}  // namespace

std::string verifyJson(const FunctionDifference& difference, double tolerance) {
    return jsonText(Json{{"same_function", difference.maxLogitDifference <= tolerance},
                         {"max_logit_difference", difference.maxLogitDifference},
                         {"max_kl", difference.maxKl},
                         {"mean_kl", difference.meanKl},
                         {"top_agreement", difference.topAgreement},
                         {"positions", difference.positions},
                         {"tolerance", tolerance}});
}

std::string auditJson(const AuditReport& report) {
    Json json{{"object", report.object},
              {"description", report.description},
              {"d", report.d},
              {"k", report.k},
              {"claims", report.claims},
              {"gauges", report.gauges},
              {"seed", report.seed},
              {"not_moved", survivalJson(report.notMoved)},
              {"moved", survivalJson(report.moved)},
              {"chance", survivalJson(report.chance)}};
    if (report.gauge)
        json["gauge"] = {{"fingerprint", report.gauge->fingerprint},
                         {"source", report.gauge->source},
                         {"target", report.gauge->target},
                         {"not_moved", survivalJson(report.gauge->notMoved)},
                         {"moved", survivalJson(report.gauge->moved)}};
    json["survives"] = report.survives;
    json["statement"] = report.statement;
    return jsonText(json);
}

std::string mergeJson(const MergeReport& report) {
    return jsonText(Json{{"kind", report.kind},
                         {"form", report.taskVector ? "task-vector" : "linear"},
                         {"weight", report.weight},
                         {"d", report.d},
                         {"averaged", report.averaged},
                         {"equal", report.equal},
                         {"shared_rows", report.sharedRows},
                         {"bytes", report.bytes},
                         {"gauge", report.gauge}});
}

std::string ceilingJson(const std::vector<CeilingPoint>& points, const CeilingOptions& options) {
    Json json{{"d", options.d}, {"rows", options.rows}, {"noise", options.noise}, {"seed", options.seed}};
    Json& list = json["points"] = Json::array();
    for (const CeilingPoint& point : points)
        list.push_back({{"positive", point.positive},
                        {"permutation_only", point.permutationOnly},
                        {"sign_marginalized", point.signMarginalized}});
    return jsonText(json);
}

std::string continuationJson(const Continuation& found, const std::optional<Vocabulary>& vocabulary) {
    return jsonText(continuationObject(found, vocabulary));
}

std::string steerJson(const SteerReport& report, const std::optional<Vocabulary>& vocabulary) {
    Json json{{"site", "resid." + std::to_string(report.place)},
              {"strength", report.strength},
              {"positions", report.positions}};
    Json& promoted = json["promoted"] = Json::array();
    for (const SteerReport::Promoted& one : report.promoted) {
        promoted.push_back({{"token", one.token}, {"rise", one.rise}});
        if (vocabulary) promoted.back()["text"] = vocabulary->text(std::span(&one.token, 1));
    }
    Json& arms = json["arms"] = Json::array();
    for (const SteerReport::Arm& arm : report.arms)
        arms.push_back({{"name", arm.name},
                        {"effect", arm.effect},
                        {"agreement", arm.agreement},
                        {"continuation", continuationObject(arm.continuation, vocabulary)}});
    return jsonText(json);
}

}  // namespace regauge
