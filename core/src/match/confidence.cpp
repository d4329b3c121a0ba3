#include "match/confidence.hpp"

#include <algorithm>
#include <cmath>

namespace regauge {
namespace {

// The coefficients of the logistic models (experiments/reference/calibrate.py).
constexpr double constant = 2.446, ofFused = 0.77, ofFitted = 0.542, ofMeanCombined = 1.084, ofMeanFused = 0.746,
                 ofMeanFitted = 1.933, ofAdvantage = 1.174, ofHalves = 0.095, ofAgreement = -2.427;
constexpr double constantBeyondDoubt = 5, ofFusedBeyondDoubt = 2;

double logistic(double x) { return 1 / (1 + std::exp(-std::clamp(x, -40.0, 40.0))); }
double channelMargin(const Margins& margin, std::size_t i) {
    return std::clamp(margin.matched[i] - margin.runnerUp[i], -2.0, 4.0);
}

}  // namespace

bool sameAt(std::size_t i, const Gauge& a, const Gauge& b) {
    return a.perm()[i] == b.perm()[i] && a.sign()[i] == b.sign()[i];
}

double mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

std::vector<double> channelProbabilities(const Findings& findings, Group group, unsigned threads) {
    const Gauge& answer = findings.answer;
    const Margins& fused = findings.fused;
    std::vector<double> probability(answer.d());
    if (findings.beyondDoubt) {
        for (std::size_t i = 0; i < probability.size(); ++i)
            probability[i] = logistic(constantBeyondDoubt + ofFusedBeyondDoubt * channelMargin(fused, i));
        return probability;
    }
    const bool refined = findings.refined != nullptr;
    const Margins combined = refined ? margins(findings.refined->combined, answer, group, threads) : fused;
    const Margins fitted = refined && !findings.refined->fitted.value.empty()
                               ? margins(findings.refined->fitted, answer, group, threads)
                               : fused;
    // Means over few channels scatter more, and among very few a wrong answer is often better than any other.
    const double root = std::sqrt(static_cast<double>(answer.d())),
                 few = 2 * std::max(0.0, 1 / root - 0.125) * std::max(1.0, 4 / root);
    const auto level = [few](const Margins& margin) { return std::clamp(margin.mean() - few, -0.8, 1.5); };
    const double shared = constant + ofMeanCombined * std::log(0.1 + std::max(level(combined), 0.0)) +
                          ofMeanFused * level(fused) + ofMeanFitted * level(fitted) +
                          ofAdvantage * std::log(0.1 + std::clamp(findings.advantage, 0.0, 3.0)) +
                          ofAgreement * agreement(findings.firstHalf, findings.secondHalf);
    for (std::size_t i = 0; i < probability.size(); ++i) {
        const int halves = int{sameAt(i, findings.firstHalf, answer)} + int{sameAt(i, findings.secondHalf, answer)};
        probability[i] = logistic(shared + ofFused * channelMargin(fused, i) + ofFitted * channelMargin(fitted, i) +
                                  ofHalves * halves);
    }
    return probability;
}

std::vector<double> probabilitiesFromMargins(const Margins& margin) {
    std::vector<double> probability(margin.matched.size());
    for (std::size_t i = 0; i < probability.size(); ++i)
        probability[i] = logistic(3 * (margin.matched[i] - margin.runnerUp[i]) - 1.5);
    return probability;
}

std::vector<double> plainProbabilities(const Margins& margins, const Gauge& answer, const Gauge& firstHalf,
                                       const Gauge& secondHalf) {
    std::vector<double> probability = probabilitiesFromMargins(margins);
    const double agreed = agreement(firstHalf, secondHalf);
    for (std::size_t i = 0; i < probability.size(); ++i)
        if (sameAt(i, firstHalf, answer) && sameAt(i, secondHalf, answer))
            probability[i] = std::max(probability[i], agreed);
    return probability;
}

std::vector<double> confidenceFromHalves(const Gauge& answer, const Gauge& firstHalf, const Gauge& secondHalf,
                                         bool credible) {
    constexpr double both = 0.97;  // of channels on which the halves agree, measured (experiments/reference/README.md)
    std::vector<double> probability(answer.d(), 0.0);
    if (!credible) return probability;
    const double agreed = agreement(firstHalf, secondHalf);
    const double all = std::min(both, 1.1 * std::sqrt(agreed));
    const double others = agreed < 1 ? std::max(0.0, (all - both * agreed) / (1 - agreed)) : 0;
    for (std::size_t i = 0; i < probability.size(); ++i)
        probability[i] = sameAt(i, firstHalf, answer) && sameAt(i, secondHalf, answer) ? both : others;
    return probability;
}

Verdict verdictOf(double estimate, std::size_t d, std::uint64_t rows) {
    const double ofManyRows = 0.48 + 3 / static_cast<double>(std::max<std::size_t>(d, 1));
    const double leastPartial = rows <= 2 * d ? std::max(0.6, ofManyRows) : ofManyRows;
    return estimate >= 0.9 ? Verdict::aligned : estimate < leastPartial ? Verdict::unrelated : Verdict::partial;
}

}  // namespace regauge
