#include "regauge/match.hpp"

#include <algorithm>
#include <cmath>

#include "block.hpp"
#include "confidence.hpp"
#include "refine.hpp"
#include "regauge/error.hpp"
#include "site_sums.hpp"
#include "whitening.hpp"

namespace regauge {
namespace {

// An answer this far above chance, on both counts, needs nothing more (in spreads; independent models stay below 0.4).
constexpr double sureAdvantage = 2, sureMargin = 2;

constexpr std::array<std::string_view, poles.size() + 1> statisticNames{"correlation", "", "soft", "medium", "whitened"};  // by poles in use

// What accumulates over sites and statistics: halves divided by their spreads and weighted by their squared advantage, signs and all.
struct Fusion {
    Halves halves;
    double weight = 0;
    double scale = 0;  // what a similarity of 1 in every block would add up to
    Halves fallback;  // the best block, where none has an advantage
    double best = -1e300;
    bool sure = false;  // some block answers beyond doubt
    std::vector<Structure> structures;  // of the site with the best block
};

// One statistic of one site, solved.
struct Block {
    Halves halves;
    double advantage = 0;
    Answer answer;       // of the sum
    double unit = 1;     // its spread
    double margin = 0;   // mean, in spreads
    bool sure() const { return advantage >= sureAdvantage && margin >= sureMargin; }
};

Block makeBlock(Halves halves, Group group, unsigned threads, const Progress& progress) {
    Block block;
    block.halves = std::move(halves);
    block.advantage = advantage(block.halves, group, threads);
    const ScoreMatrix whole = sum(block.halves);
    block.answer = solve(whole, group, progress);
    block.unit = spread(whole, block.answer.gauge);
    block.margin = margins(whole, block.answer.gauge, group).mean();
    return block;
}

void fuse(Fusion& fusion, const Block& block) {
    const double weight = block.advantage > 0 ? block.advantage * block.advantage : 0;
    if (fusion.halves[0].value.empty())
        for (ScoreMatrix& half : fusion.halves) half = ScoreMatrix{block.halves[0].d, std::vector<float>(block.halves[0].value.size(), 0.0F)};
    if (weight > 0)
        for (std::size_t k = 0; k < 2; ++k) add(fusion.halves[k], weight / block.unit, block.halves[k]);
    fusion.weight += weight;
    fusion.sure = fusion.sure || block.sure();
    fusion.scale += weight / block.unit;
    if (block.advantage > fusion.best) {
        fusion.best = block.advantage;
        fusion.fallback = fusion.weight > 0 ? Halves{} : block.halves;
    }
}

// Each half's share of the correlation: Pearson within the half, by its share of the rows.
Halves crossHalves(const SiteSums& sums) {
    const double rows = static_cast<double>(sums.half[0].rows() + sums.half[1].rows());
    Halves halves;
    for (std::size_t k = 0; k < 2; ++k) {
        const std::size_t d = sums.half[k].d();
        halves[k] = ScoreMatrix{d, std::vector<float>(d * d)};
        sums.half[k].cross(std::span<float>(halves[k].value));
        const auto share = static_cast<float>(rows > 0 ? static_cast<double>(sums.half[k].rows()) / rows : 0);
        for (float& value : halves[k].value) value *= share;
    }
    return halves;
}

SiteReport report(const std::string& site, std::string_view statistic, const Block& block, std::uint64_t rows, std::uint64_t setAside, Group group,
                  const Progress& progress) {
    const Answer first = solve(block.halves[0], group, progress), second = solve(block.halves[1], group, progress);
    SiteReport result;
    result.name = site;
    result.statistic = statistic;
    result.rows = rows;
    result.setAside = setAside;
    result.meanScore = mean(block.answer.score);
    result.agreement = agreement(first.gauge, second.gauge);
    result.estimate = mean(channelProbabilities(sum(block.halves), block.answer, group));
    result.weight = block.advantage > 0 ? block.advantage * block.advantage : 0;
    result.gauge = block.answer.gauge;
    return result;
}

// All the statistics of one site into the fusion; the site's own answer is that of its best block.
SiteReport addSite(Fusion& fusion, const Evidence& source, const Evidence& target, const std::string& site, const MatchOptions& options, bool whitened,
                   const Progress& progress) {
    Halves cross;
    std::vector<float> gramX, gramY;
    std::vector<std::uint8_t> constantX, constantY;
    std::uint64_t rows = 0, setAside = 0;
    {
        const SiteSums sums = sumSite(source, target, site, options, whitened, progress);
        rows = sums.half[0].rows() + sums.half[1].rows();
        setAside = sums.half[0].setAside() + sums.half[1].setAside();
        cross = crossHalves(sums);
        if (whitened) {
            const CorrelationSums total = sums.total();
            gramX.resize(cross[0].value.size()), gramY.resize(cross[0].value.size());
            total.gramX(std::span<float>(gramX)), total.gramY(std::span<float>(gramY));
            constantX = total.constantX(), constantY = total.constantY();
        }
    }
    const std::size_t d = cross[0].d;
    if (!whitened) {
        const Block block = makeBlock(std::move(cross), options.group, options.threads, progress);
        fuse(fusion, block);
        return report(site, statisticNames[0], block, rows, setAside, options.group, progress);
    }

    Whitener x(gramX, d), y(gramY, d);
    Block best;
    std::size_t bestStrength = 0;
    std::vector<Structure> structures;
    for (std::size_t strength = 1; strength <= poles.size(); ++strength) {
        x.strengthen(options.threads, progress), y.strengthen(options.threads, progress);
        if (strength < 2) continue;
        Halves halves;
        for (std::size_t k = 0; k < 2; ++k) {
            progress.report("whitening " + site, 2 * (strength - 2) + k, 2 * (poles.size() - 1));
            halves[k] = ScoreMatrix{d, whiten(x, y, cross[k].value, options.threads)};
        }
        Block block = makeBlock(std::move(halves), options.group, options.threads, progress);
        fuse(fusion, block);
        const bool sure = block.sure();
        if (bestStrength == 0 || block.advantage > best.advantage) best = std::move(block), bestStrength = strength;
        if (sure) break;  // stronger whitening cannot add to this
        if (strength == 2 || strength == poles.size())
            structures.push_back({offDiagonal(x.matrix(), constantX), offDiagonal(y.matrix(), constantY)});
    }
    if (best.advantage >= fusion.best) fusion.structures = std::move(structures);
    return report(site, statisticNames[bestStrength], best, rows, setAside, options.group, progress);
}

}  // namespace

Alignment match(const Evidence& source, const Evidence& target, const MatchOptions& options, const Progress& progress) {
    const std::vector<std::string> sites = commonSites(source, target, options.sites);
    if (sites.empty()) throw Error(ErrorCode::usage, "", "no common site");
    // The permutation baseline is the raw signed correlation, as in the paper.
    const bool whitened = options.group != Group::permutation && options.statistic != Statistic::correlation;

    Alignment alignment;
    Fusion fusion;
    for (const std::string& site : sites) {
        // Weights are many and are asked only where activations and embeddings leave a doubt. (They come last in an Evidence.)
        if (fusion.sure && options.sites.empty() && std::ranges::find(source.sites, site, &Site::name)->weights) break;
        alignment.sites.push_back(addSite(fusion, source, target, site, options, whitened, progress));
        alignment.rows = std::max(alignment.rows, alignment.sites.back().rows);
    }
    double heaviest = 0;
    for (const SiteReport& site : alignment.sites) heaviest = std::max(heaviest, site.weight);
    for (SiteReport& site : alignment.sites) site.weight = heaviest > 0 ? site.weight / heaviest : 0;

    const Halves fused = fusion.weight > 0 ? std::move(fusion.halves) : std::move(fusion.fallback);
    const Block block = makeBlock(fused, options.group, options.threads, progress);
    ScoreMatrix z = sum(block.halves);
    for (float& value : z.value) value = static_cast<float>(static_cast<double>(value) / block.unit);
    Answer answer = block.answer;
    std::vector<double> probability;
    if (block.sure() || fusion.structures.empty()) {
        probability = channelProbabilities(z, answer, options.group);
    } else {
        const Refined refined = refine(z, answer, fusion.structures, options.group, options.threads, progress);
        probability = channelProbabilities(refined, z, block.advantage, options.group);
        answer = refined.answer;
    }

    alignment.gauge = answer.gauge;
    const Margins margin = margins(z, answer.gauge, options.group);
    const double similarity = fusion.weight > 0 ? block.unit / fusion.scale : block.unit;  // of one spread
    for (std::size_t i = 0; i < margin.matched.size(); ++i) {
        alignment.score.push_back(std::clamp(margin.matched[i] * similarity, 0.0, 1.0));
        alignment.margin.push_back((margin.matched[i] - margin.runnerUp[i]) * similarity);
    }
    alignment.group = options.group;
    alignment.statistic = whitened ? "whitened" : "correlation";
    alignment.agreement = agreement(solve(block.halves[0], options.group, progress).gauge, solve(block.halves[1], options.group, progress).gauge);
    alignment.estimate = mean(probability);
    alignment.verdict = verdictOf(alignment.estimate);
    alignment.confidence = std::move(probability);
    alignment.source = {source.name, source.sha256};
    alignment.target = {target.name, target.sha256};
    return alignment;
}

}  // namespace regauge
