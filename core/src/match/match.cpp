#include "regauge/match.hpp"

#include <algorithm>
#include <cmath>

#include "match/confidence.hpp"
#include "match/fusion.hpp"
#include "match/gain_scores.hpp"
#include "match/match_sums.hpp"
#include "match/policy.hpp"
#include "match/rotation_null.hpp"
#include "match/second_opinion.hpp"
#include "numeric/whitening.hpp"
#include "pairing/memory.hpp"
#include "pairing/site_sums.hpp"
#include "pairing/team_sums.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr double keepRefined =
    0.30;  // below this estimate the refinement is not to be trusted, and the first answer stands
constexpr double usefulGains = 0.30;  // gains whose halves agree less than this are left out: they would mislead
constexpr std::size_t largestWitness =
    4096;  // d; beyond it, its correlations take more memory than a second opinion is worth

constexpr std::array<std::string_view, poles.size() + 1> statisticNames{"", "", "soft", "medium",
                                                                        "whitened"};  // by poles in use

// What is asked of a site: Gram matrices and constant channels only for whitening.
struct Correlations {
    Halves cross;
    Symmetric gramX, gramY;
    std::vector<std::uint8_t> constantX, constantY;
    std::uint64_t rows = 0, setAside = 0;
};

Correlations correlationsOf(const CorrelationSums& sums, Fusion& fusion) {
    const std::size_t d = sums.d();
    Correlations result;
    result.rows = sums.rows(), result.setAside = sums.setAside();
    if (sums.withGram()) {
        kernels::UnclearedVector<float> gram(d * d);
        sums.gramX(std::span<float>(gram));
        countCopies(fusion.copiesX, gram, d);
        result.gramX = Symmetric(gram, d);
        sums.gramY(std::span<float>(gram));
        countCopies(fusion.copiesY, gram, d);
        result.gramY = Symmetric(gram, d);
        result.constantX = sums.constantX(), result.constantY = sums.constantY();
    }
    for (std::size_t k = 0; k < 2; ++k) {
        result.cross[k] = ScoreMatrix{d, kernels::UnclearedVector<float>(d * d)};
        sums.crossOfHalf(k, result.cross[k].value);
    }
    return result;
}

// Of a site's coarse sums, which are always asked for. What its massive rows say is the same in fine ones.
Correlations coarseCorrelations(Fusion& fusion, const SumsOf& sumsOf, const std::string& site) {
    const CorrelationSums sums = sumsOf(site, Resolution::coarse);
    if (sums.setAside() > 0) fusion.levels.push_back(massiveLevels(sums));
    return correlationsOf(sums, fusion);
}

SiteReport report(const std::string& site, std::string_view statistic, const Block& block, const Correlations& of) {
    SiteReport result;
    result.name = site;
    result.statistic = statistic;
    result.rows = of.rows;
    result.setAside = of.setAside;
    result.meanScore = mean(block.answer.score);
    result.agreement = agreement(block.ofHalf[0], block.ofHalf[1]);
    result.estimate = mean(probabilitiesFromMargins(block.margins));
    result.weight = block.weight();
    result.gauge = block.answer.gauge;
    return result;
}

// Where a site is beyond doubt on coarse sums and one inverse a side, at half the cost of the next strength, there is
// nothing more to ask.
std::optional<SiteReport> quickLook(Fusion& fusion, const SumsOf& sumsOf, const std::string& site,
                                    const MatchOptions& options, const Progress& progress) {
    Correlations coarse = coarseCorrelations(fusion, sumsOf, site);
    Whitener x(std::move(coarse.gramX), ridge), y(std::move(coarse.gramY), ridge);
    x.strengthen(options.threads, progress), y.strengthen(options.threads, progress);
    const Whitening whiten(x, y, Resolution::coarse, options.threads);
    Halves halves;
    for (std::size_t k = 0; k < 2; ++k) {
        progress.report("whitening " + site, k, 2);
        halves[k] = ScoreMatrix{coarse.cross[k].d, whiten(coarse.cross[k].value)};
        coarse.cross[k] = {};
    }
    Block block = makeBlock(std::move(halves), options.group, options.threads, progress);
    if (!block.sure()) return std::nullopt;
    SiteReport answer = report(site, "ridge", block, coarse);
    fuse(fusion, std::move(block));
    return answer;
}

// All the statistics of one site into the fusion; the site's own answer is that of its best block.
SiteReport addSite(Fusion& fusion, const SumsOf& sumsOf, const std::string& site, const MatchOptions& options,
                   bool whitened, const Progress& progress) {
    if (!whitened) {
        Correlations plain = coarseCorrelations(fusion, sumsOf, site);
        Block block = makeBlock(std::move(plain.cross), options.group, options.threads, progress);
        SiteReport answer = report(site, "correlation", block, plain);
        fuse(fusion, std::move(block));
        return answer;
    }
    if (std::optional<SiteReport> answer = quickLook(fusion, sumsOf, site, options, progress))
        return *std::move(answer);

    Correlations fine = correlationsOf(sumsOf(site, Resolution::fine), fusion);
    auto& [cross, gramX, gramY, constantX, constantY, rows, setAside] = fine;
    const std::size_t d = cross[0].d;
    const bool mayBeWitness = options.statistic == Statistic::automatic && !fusion.sure && d <= largestWitness;
    Whitener x(std::move(gramX)), y(std::move(gramY));
    SiteReport best;
    double bestAdvantage = -1e300;
    bool sure = false;
    std::vector<Structure> structures;
    ScoreMatrix soft;
    for (std::size_t strength = 1; strength <= poles.size() && !sure;
         ++strength) {  // stronger whitening adds nothing to a sure answer
        x.strengthen(options.threads, progress), y.strengthen(options.threads, progress);
        if (strength < 2) continue;
        if (strength == poles.size()) gramX = x.takeGram(), gramY = y.takeGram();
        if (strength == poles.size() && !mayBeWitness) gramX = gramY = {};  // they have done their work
        const Whitening whiten(x, y, Resolution::fine, options.threads);
        Halves halves;
        for (std::size_t k = 0; k < 2; ++k) {
            progress.report("whitening " + site, 2 * (strength - 2) + k, 2 * (poles.size() - 1));
            halves[k] = ScoreMatrix{d, whiten(cross[k].value)};
            if (strength == poles.size() && !mayBeWitness) cross[k] = {};
        }
        Block block = makeBlock(std::move(halves), options.group, options.threads, progress);
        if (block.advantage > bestAdvantage) {
            bestAdvantage = block.advantage;
            best = report(site, statisticNames[strength], block, fine);
        }
        sure = block.sure();
        if (strength == 2) soft = sum(block.halves);
        fuse(fusion, std::move(block));
        if (!sure && (strength == 2 || strength == poles.size()))
            structures.push_back({offDiagonal(x.matrix(), constantX), offDiagonal(y.matrix(), constantY)});
    }
    if (best.weight > 0 && !sure) fusion.structures.emplace_back(best.weight, std::move(structures));
    if (!sure && !soft.value.empty() && (!fusion.soft || best.weight > fusion.soft->first))
        fusion.soft.emplace(best.weight, std::move(soft));
    if (mayBeWitness && !fusion.sure && (!fusion.witness || best.weight > fusion.witness->weight))
        fusion.witness = Witness{best.weight, rows, std::move(cross), std::move(gramX), std::move(gramY)};
    return best;
}

SiteReport gainsReport(const GainMatch& gains, double weight) {
    SiteReport report;
    report.name = report.statistic = "gains";
    report.rows = gains.vectors;
    report.meanScore = report.estimate = mean(gains.confidence);
    report.agreement = gains.agreement;
    report.weight = weight;
    report.gauge = Gauge(gains.perm, std::vector<std::int8_t>(gains.perm.size(), 0));
    return report;
}

// The mean over channels of which anything is known.
double meanOfKnown(const std::vector<double>& probability) {
    std::vector<double> known;
    for (const double p : probability)
        if (p > 0) known.push_back(p);
    return mean(known);
}

// What the rotation null says of a gauge: in the fused scores or in the weakest whitening, whichever tells more. The
// latter does where rows are few, as strong whitening makes their noise louder.
std::vector<double> judgedByRotations(const Block& block, const Fusion& fusion, const Gauge& gauge,
                                      const MatchOptions& options, const Progress& progress) {
    const auto judged = [&](const ScoreRows& scores) {
        return rotationConfidence(scores, gauge, options.group, options.threads, progress);
    };
    std::vector<double> confidence = judged(ScoreRows(block.halves[0], block.halves[1]));
    if (!fusion.soft) return confidence;
    std::vector<double> soft = judged(fusion.soft->second);
    return mean(soft) > mean(confidence) ? soft : confidence;
}

// The probability that a standard normal number is below t.
double normalBelow(double t) { return 0.5 * std::erfc(-t / std::sqrt(2.0)); }

// Gains that are sure say which channel is which; rows then only choose signs. A sign is that of the plain correlation
// of the matched pair, as sure as its t statistic, or the answer's own where that has the channel in the same place and
// is surer.
void placeByGains(const GainMatch& gains, const Halves& cross, std::uint64_t rows, Answer& answer,
                  std::vector<double>& probability) {
    const std::size_t d = answer.gauge.d();
    std::vector<std::int8_t> sign(d);
    for (std::size_t i = 0; i < d; ++i) {
        const std::uint32_t j = gains.perm[i];
        const double r =
            std::clamp(static_cast<double>(cross[0].value[i * d + j]) + cross[1].value[i * d + j], -1.0, 1.0);
        const double ofSign =
            normalBelow(std::fabs(r) * std::sqrt(static_cast<double>(rows) / std::max(1 - r * r, policy::leastRest)));
        const bool own = answer.gauge.perm()[i] == j && answer.gauge.sign()[i] != 0 && probability[i] >= ofSign;
        sign[i] = own ? answer.gauge.sign()[i] : static_cast<std::int8_t>((r > 0) - (r < 0));
        probability[i] = gains.confidence[i] * (own ? probability[i] : ofSign);
    }
    answer.gauge = Gauge(gains.perm, std::move(sign));
}

// A channel that the rows say nothing of (constant) has a place, perhaps by its gains, and no sign; channels that look
// alike share their confidence.
void settleUndetermined(Answer& answer, std::vector<double>& probability, const Margins& ofRows, const Fusion& fusion,
                        Group group) {
    std::vector<std::int8_t> sign = answer.gauge.sign();
    for (std::size_t i = 0; i < sign.size(); ++i) {
        const std::uint32_t j = answer.gauge.perm()[i];
        if (ofRows.matched[i] == 0) {
            probability[i] = 0;
            if (group == Group::signedPermutation) sign[i] = 0;
        }
        if (!fusion.copiesX.empty())
            probability[i] = std::min(probability[i], 1.0 / std::max({1U, fusion.copiesX[j], fusion.copiesY[i]}));
    }
    answer.gauge = Gauge(answer.gauge.perm(), std::move(sign));
}

// Gains alone: which channel is which, at most. Signs stay undetermined.
Alignment matchGains(const Evidence& source, const Evidence& target, const MatchOptions& options,
                     const Progress& progress) {
    const GainMatch gains = matchGainVectors(source, target, options.threads, progress);
    if (gains.vectors == 0) throw Error(ErrorCode::usage, target.name, noCommonEvidence(source, target));
    Alignment alignment;
    alignment.sites.push_back(gainsReport(gains, 1));
    alignment.gauge = options.group == Group::permutation ? Gauge(gains.perm, std::vector<std::int8_t>(source.d, 1))
                                                          : alignment.sites[0].gauge;
    alignment.group = options.group;
    alignment.confidence = gains.confidence;
    alignment.agreement = gains.agreement;
    // Half of the vectors say far less than all of them, so half agreement may be low and the whole right; where there
    // is none, nothing confirms it.
    const double placed = mean(gains.confidence);
    const Verdict ofPlaces =
        gains.agreement < policy::unconfirmedGains ? Verdict::unrelated : verdictOf(placed, source.d);
    alignment.estimate = placed;
    alignment.verdict = ofPlaces;
    if (options.group == Group::signedPermutation) {  // a place without its sign is not a channel matched right
        alignment.estimate = 0;
        alignment.confidence.assign(source.d, 0.0);
        alignment.verdict = std::max(ofPlaces, Verdict::partial);
    }
    alignment.score = gains.confidence;  // distances of gains have no similarity of their own
    alignment.statistic = "gains";
    alignment.source = {source.name, source.sha256.hex()};
    alignment.target = {target.name, target.sha256.hex()};
    return alignment;
}

// Of those of the sites that have rows to read.
std::uint64_t mostRows(const Evidence& evidence, const std::vector<std::string>& sites) {
    std::uint64_t most = 0;
    for (const Site& site : evidence.sites)
        if (site.rows && std::ranges::find(sites, site.name) != sites.end()) most = std::max(most, site.rows->rows());
    return most;
}

}  // namespace

Alignment match(const Evidence& source, const Evidence& target, const MatchOptions& options, const Progress& progress) {
    if (options.team == nullptr)
        return matchSums(
            source, target, options,
            [&](const std::string& site, Resolution resolution) {
                return sumSite(source, target, site, options, resolution, progress);
            },
            progress);
    const TeamLead lead(*options.team, source, target, options, progress);
    return matchSums(
        source, target, options,
        [&](const std::string& site, Resolution resolution) { return lead.sum(site, resolution); }, progress);
}

Alignment matchSums(const Evidence& source, const Evidence& target, const MatchOptions& options, const SumsOf& sumsOf,
                    const Progress& progress) {
    requireOneWidth(source, target);
    const std::vector<std::string> sites = commonSites(source, target, options.sites);
    if (sites.empty()) return matchGains(source, target, options, progress);
    const bool whitened = needsGram(options);
    requireMemory({source.d, mostRows(source, sites), whitened, sites.size()}, options.memory, target.name);

    Alignment alignment;
    Fusion fusion;
    for (const std::string& site : sites) {
        // Weights are many and are asked only where activations and embeddings leave a doubt. (They come last in an
        // Evidence.)
        if (fusion.sure && options.sites.empty() && std::ranges::find(source.sites, site, &Site::name)->weights) break;
        alignment.sites.push_back(addSite(fusion, sumsOf, site, options, whitened, progress));
        alignment.rows = std::max(alignment.rows, alignment.sites.back().rows);
    }
    double heaviest = 0;
    for (const SiteReport& site : alignment.sites) heaviest = std::max(heaviest, site.weight);
    for (SiteReport& site : alignment.sites) site.weight = heaviest > 0 ? site.weight / heaviest : 0;

    const Block block = fused(fusion, options.group, options.threads, progress);
    const auto& [first, second] = block.ofHalf;
    const auto probabilities = [&](const Gauge& gauge, const Margins& margin, const Refined* refined) {
        return whitened ? channelProbabilities({gauge, margin, refined, first, second,
                                                std::max(fusion.best, block.advantage), block.sure()},
                                               options.group, options.threads)
                        : plainProbabilities(margin, gauge, first, second);
    };
    const GainMatch gains = matchGainVectors(source, target, options.threads, progress);
    const bool withGains = gains.vectors > 0 && gains.agreement >= usefulGains &&
                           options.group != Group::permutation;  // the baseline is correlation alone
    if (gains.vectors > 0) alignment.sites.push_back(gainsReport(gains, withGains ? 1 : 0));
    const std::vector<Structure> structures = block.sure() ? std::vector<Structure>{} : usefulStructures(fusion);

    Answer answer = block.answer;
    Margins margin = block.margins;
    const bool withMassive = !fusion.levels.empty() && options.group == Group::signedPermutation && !block.sure();
    ScoreMatrix scores;  // that gave the answer, in spreads, where massive rows may add to them
    std::vector<double> probability;
    if (!withGains && structures.empty()) {
        probability = probabilities(answer.gauge, margin, nullptr);
    } else {
        const ScoreMatrix rowsOnly = inSpreads(block);
        ScoreMatrix z = rowsOnly;
        if (withGains) {
            addGains(z, gains);
            answer = solve(z, options.group, options.threads, progress);
        }
        if (structures.empty()) {
            margin = margins(rowsOnly, answer.gauge, options.group, options.threads);
            probability = probabilities(answer.gauge, margin, nullptr);
        } else {
            Refined refined = refine(z, answer, structures, options.group, options.threads, progress);
            margin = margins(rowsOnly, refined.answer.gauge, options.group, options.threads);
            probability = probabilities(refined.answer.gauge, margin, &refined);
            if (mean(probability) >= keepRefined) {
                answer = refined.answer;
                if (withMassive) scores = std::move(refined.combined);
            } else {
                margin = margins(rowsOnly, answer.gauge, options.group, options.threads);
                for (std::size_t i = 0; i < probability.size(); ++i)
                    if (!sameAt(i, answer.gauge, refined.answer.gauge)) probability[i] /= 2;
            }
        }
    }
    const Block* rows = &block;                     // that the answer comes from
    double similarity = block.unit / fusion.scale;  // of one spread
    double agreed = agreement(first, second);
    alignment.statistic = whitened ? "whitened" : "correlation";
    SecondOpinion plain;
    const bool placed = fusion.witness && withGains && options.group == Group::signedPermutation &&
                        mean(gains.confidence) >= policy::sureGains && gains.agreement >= policy::confirmedGains;
    const Halves witnessed = placed ? fusion.witness->cross : Halves{};
    const std::uint64_t witnessRows = placed ? fusion.witness->rows : 0;
    if (fusion.witness) {
        plain = askPlainCorrelation(*fusion.witness, withGains ? &gains : nullptr, answer.gauge, mean(probability),
                                    options, progress);
        if (plain.better) {
            for (std::size_t i = 0; i < probability.size(); ++i) {
                if (!sameAt(i, plain.answer.gauge, answer.gauge)) probability[i] /= 2;
                probability[i] = std::max(probability[i], plain.confidence[i]);
            }
            answer = plain.answer, margin = plain.margins, similarity = plain.block.unit, agreed = plain.agreement;
            rows = &plain.block, scores = {};
            alignment.statistic = "correlation";
        }
    }
    if (whitened && !block.sure()) {
        const std::vector<double> null = judgedByRotations(block, fusion, answer.gauge, options, progress);
        const double weight = plain.better ? policy::ofNullForPlain : policy::ofNull;
        for (std::size_t i = 0; i < null.size(); ++i) probability[i] += weight * (null[i] - probability[i]);
    }
    if (placed) {
        placeByGains(gains, witnessed, witnessRows, answer, probability);
        margin = margins({rows->halves[0], rows->halves[1]}, answer.gauge, options.group, options.threads);
    } else if (withMassive) {
        if (scores.value.empty()) {
            scores = inSpreads(*rows);
            if (withGains) addGains(scores, gains);
        }
        if (askMassiveRows(fusion.levels, *rows, margin, scores, answer, probability, options.threads, progress))
            margin = margins({rows->halves[0], rows->halves[1]}, answer.gauge, options.group, options.threads);
    }
    settleUndetermined(answer, probability, margin, fusion, options.group);

    alignment.gauge = answer.gauge;
    for (std::size_t i = 0; i < margin.matched.size(); ++i) {
        alignment.score.push_back(std::clamp(margin.matched[i] * similarity, 0.0, 1.0));
        alignment.margin.push_back((margin.matched[i] - margin.runnerUp[i]) * similarity);
    }
    alignment.group = options.group;
    alignment.agreement = agreed;
    alignment.estimate = meanOfKnown(probability);
    alignment.verdict = verdictOf(alignment.estimate, alignment.gauge.d(), alignment.rows);
    alignment.confidence = std::move(probability);
    alignment.source = {source.name, source.sha256.hex()};
    alignment.target = {target.name, target.sha256.hex()};
    return alignment;
}

}  // namespace regauge
