#include "match/clues.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <string_view>
#include <utility>

#include "match/confidence.hpp"
#include "match/fusion.hpp"
#include "match/policy.hpp"
#include "numeric/whitening.hpp"

namespace regauge {
namespace {

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

// Of a block's answer, from nothing but the block.
std::vector<double> ownProbabilities(std::string_view statistic, const Block& block, Group group, unsigned threads) {
    const auto& [first, second] = block.ofHalf;
    if (statistic == "correlation") return plainProbabilities(block, block.answer.gauge, block.margins, group, threads);
    return channelProbabilities(
        {block.answer.gauge, block.margins, nullptr, first, second, block.advantage, block.sure()}, group, threads);
}

SiteReport report(const std::string& site, std::string_view statistic, const Block& block, const Correlations& of,
                  const MatchOptions& options) {
    SiteReport result;
    result.name = site;
    result.statistic = statistic;
    result.rows = of.rows;
    result.setAside = of.setAside;
    result.meanScore = mean(block.answer.score);
    result.agreement = agreement(block.ofHalf[0], block.ofHalf[1]);
    result.estimate = mean(ownProbabilities(statistic, block, options.group, options.threads));
    result.weight = block.weight();
    result.gauge = block.answer.gauge;
    return result;
}

// What a site said, and how far its best statistic is above chance (block.hpp).
struct SiteAnswer {
    SiteReport report;
    double advantage = 0;
};

// Where a site is beyond doubt on coarse sums and one inverse a side, at half the cost of the next strength, there is
// nothing more to ask.
std::optional<SiteAnswer> quickLook(Fusion& fusion, const SumsOf& sumsOf, const std::string& site,
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
    SiteAnswer answer{report(site, "ridge", block, coarse, options), block.advantage};
    fuse(fusion, std::move(block));
    return answer;
}

// Plain correlation alone, as asked for.
SiteAnswer addPlainSite(Fusion& fusion, const SumsOf& sumsOf, const std::string& site, const MatchOptions& options,
                        const Progress& progress) {
    Correlations plain = coarseCorrelations(fusion, sumsOf, site);
    Block block = makeBlock(std::move(plain.cross), options.group, options.threads, progress);
    SiteAnswer answer{report(site, "correlation", block, plain, options), block.advantage};
    fuse(fusion, std::move(block));
    return answer;
}

// One site in fine sums, from the weakest whitening to the strongest; stronger whitening adds nothing to a sure answer.
class FineSite {
public:
    FineSite(Fusion& fusion, const std::string& site, Correlations of, const MatchOptions& options,
             const Progress& progress)
        : fusion_(fusion),
          site_(site),
          of_(std::move(of)),
          options_(options),
          progress_(progress),
          mayBePlain_(options.statistic == Statistic::automatic && !fusion.sure &&
                      of_.cross[0].d <= policy::largestPlain),
          x_(std::move(of_.gramX)),
          y_(std::move(of_.gramY)) {}

    // The site's own answer is that of its best block.
    SiteAnswer add() {
        x_.strengthen(options_.threads, progress_), y_.strengthen(options_.threads, progress_);
        for (std::size_t strength = 2; strength <= poles.size() && !sure_; ++strength) {
            x_.strengthen(options_.threads, progress_), y_.strengthen(options_.threads, progress_);
            addStrength(strength);
        }
        handOver();
        return {best_, advantage_};
    }

private:
    void addStrength(std::size_t strength) {
        const bool last = strength == poles.size();
        if (last) of_.gramX = x_.takeGram(), of_.gramY = y_.takeGram();
        if (last && !mayBePlain_) of_.gramX = of_.gramY = {};  // they have done their work
        Block block = makeBlock(whitened(strength), options_.group, options_.threads, progress_);
        if (block.advantage > advantage_) {
            advantage_ = block.advantage;
            best_ = report(site_, statisticNames[strength], block, of_, options_);
        }
        sure_ = block.sure();
        if (strength == 2) soft_ = sum(block.halves);
        fuse(fusion_, std::move(block));
        if (!sure_ && (strength == 2 || last))
            structures_.push_back({offDiagonal(x_.matrix(), of_.constantX), offDiagonal(y_.matrix(), of_.constantY)});
    }

    Halves whitened(std::size_t strength) {
        const bool last = strength == poles.size();
        const Whitening whiten(x_, y_, Resolution::fine, options_.threads);
        Halves halves;
        for (std::size_t k = 0; k < 2; ++k) {
            progress_.report("whitening " + site_, 2 * (strength - 2) + k, 2 * (poles.size() - 1));
            halves[k] = ScoreMatrix{of_.cross[k].d, whiten(of_.cross[k].value)};
            if (last && !mayBePlain_) of_.cross[k] = {};
        }
        return halves;
    }

    // What later stages may ask of the site where it leaves a doubt.
    void handOver() {
        if (sure_) return;
        if (best_.weight > 0) fusion_.structures.emplace_back(best_.weight, std::move(structures_));
        if (!fusion_.soft || best_.weight > fusion_.soft->first) fusion_.soft.emplace(best_.weight, std::move(soft_));
        if (mayBePlain_ && !fusion_.sure && (!fusion_.witness || best_.weight > fusion_.witness->weight))
            fusion_.witness =
                Witness{best_.weight, of_.rows, std::move(of_.cross), std::move(of_.gramX), std::move(of_.gramY)};
    }

    Fusion& fusion_;
    const std::string& site_;
    Correlations of_;
    const MatchOptions& options_;
    const Progress& progress_;
    bool mayBePlain_;
    Whitener x_, y_;
    SiteReport best_;
    double advantage_ = -std::numeric_limits<double>::infinity();
    bool sure_ = false;
    std::vector<Structure> structures_;
    ScoreMatrix soft_;
};

SiteAnswer addSite(Fusion& fusion, const SumsOf& sumsOf, const std::string& site, const MatchOptions& options,
                   const Progress& progress) {
    if (!needsGram(options)) return addPlainSite(fusion, sumsOf, site, options, progress);
    if (std::optional<SiteAnswer> answer = quickLook(fusion, sumsOf, site, options, progress))
        return *std::move(answer);
    return FineSite(fusion, site, correlationsOf(sumsOf(site, Resolution::fine), fusion), options, progress).add();
}

// The places of `count` things, those first that lie a stride apart: a few of them are a fair sample of all.
std::vector<std::size_t> spreadOut(std::size_t count) {
    const std::size_t stride = std::max<std::size_t>(count / policy::firstProbes, 1);
    std::vector<std::size_t> places;
    for (std::size_t offset = 0; offset < stride; ++offset)
        for (std::size_t k = offset; k < count; k += stride) places.push_back(k);
    return places;
}

// Whether weights are worth asking on, from those that were asked so far. Evidence adds up with the root of its amount:
// what all of them can reach is foreseen, beside what the rows reach.
class Outlook {
public:
    explicit Outlook(std::size_t weights) : weights_(weights) {}

    void addRows(double advantage) { ofRows_ = std::max(ofRows_, advantage); }
    void addWeight(double advantage) {
        ++asked_, sum_ += advantage;
        largest_ = std::max(largest_, advantage);
    }
    bool isHopeless() const {
        if (asked_ < policy::firstProbes || asked_ % policy::firstProbes != 0) return false;
        const double each = sum_ / static_cast<double>(asked_), all = each * std::sqrt(static_cast<double>(weights_));
        return largest_ < policy::hopelessAdvantage &&
               std::sqrt(ofRows_ * ofRows_ + all * all) < policy::hopelessAdvantage;
    }

private:
    std::size_t weights_, asked_ = 0;
    double ofRows_ = 0, sum_ = 0, largest_ = -std::numeric_limits<double>::infinity();
};

// Asks activations and embeddings, and weights, which are many, only while there is a doubt that they may settle.
std::vector<SiteReport> askSites(Fusion& fusion, const Evidence& source, const std::vector<std::string>& sites,
                                 const MatchOptions& options, const SumsOf& sumsOf, const Progress& progress) {
    const auto isWeight = [&](const std::string& site) {
        return std::ranges::find(source.sites, site, &Site::name)->weights && options.sites.empty();
    };
    const auto firstWeight = static_cast<std::size_t>(std::ranges::find_if(sites, isWeight) - sites.begin());
    std::vector<std::size_t> order(firstWeight);
    std::iota(order.begin(), order.end(), std::size_t{0});
    Outlook outlook(sites.size() - firstWeight);  // weights come last in an Evidence
    for (const std::size_t k : spreadOut(sites.size() - firstWeight)) order.push_back(firstWeight + k);
    std::vector<std::pair<std::size_t, SiteReport>> reports;
    for (const std::size_t place : order) {
        const bool weight = place >= firstWeight;
        if (weight && (fusion.sure || outlook.isHopeless())) break;
        SiteAnswer answer = addSite(fusion, sumsOf, sites[place], options, progress);
        if (weight)
            outlook.addWeight(answer.advantage);
        else
            outlook.addRows(answer.advantage);
        reports.emplace_back(place, std::move(answer.report));
    }
    std::ranges::sort(reports, {}, &std::pair<std::size_t, SiteReport>::first);
    std::vector<SiteReport> result;
    for (auto& [place, report] : reports) result.push_back(std::move(report));
    return result;
}

// Weights in the fused scores as shares of the largest.
void scaleWeights(std::vector<SiteReport>& reports) {
    double heaviest = 0;
    for (const SiteReport& site : reports) heaviest = std::max(heaviest, site.weight);
    for (SiteReport& site : reports) site.weight = heaviest > 0 ? site.weight / heaviest : 0;
}

// What all sites said, solved together. Takes it.
Clues cluesOf(Fusion fusion, const MatchOptions& options, const Progress& progress) {
    Clues clues;
    clues.group = options.group, clues.threads = options.threads, clues.whitened = needsGram(options);
    clues.rows = std::make_shared<const Block>(fused(fusion, options.group, options.threads, progress));
    clues.similarity = clues.rows->unit / fusion.scale;
    clues.advantage = std::max(fusion.best, clues.rows->advantage);
    clues.copiesX = std::move(fusion.copiesX), clues.copiesY = std::move(fusion.copiesY);
    if (fusion.witness) {
        Witness& of = *fusion.witness;
        clues.plain = PlainRows{
            of.rows,
            std::make_shared<const Block>(makeBlock(std::move(of.cross), options.group, options.threads, progress)),
            std::move(of.gramX), std::move(of.gramY)};
    }
    if (clues.rows->sure()) return clues;
    clues.structures = usefulStructures(fusion);
    if (options.group == Group::signedPermutation) clues.levels = std::move(fusion.levels);
    if (fusion.soft) clues.soft = std::move(fusion.soft->second);
    return clues;
}

}  // namespace

double ridgeLike(std::string_view statistic) {
    if (statistic == "ridge") return ridge[0].shift;
    const auto found = std::ranges::find(statisticNames, statistic);
    return statistic.empty() || found == statisticNames.end()
               ? 0
               : poles[static_cast<std::size_t>(found - statisticNames.begin()) - 1].shift;
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

Clues gatherClues(const Evidence& source, const Evidence& target, const std::vector<std::string>& sites,
                  const MatchOptions& options, const SumsOf& sumsOf, std::vector<SiteReport>& reports,
                  const Progress& progress) {
    Fusion fusion;
    reports = askSites(fusion, source, sites, options, sumsOf, progress);
    scaleWeights(reports);
    Clues clues = cluesOf(std::move(fusion), options, progress);
    GainMatch gains = matchGainVectors(source, target, options.threads, progress);
    const bool useful = gains.vectors > 0 &&
                        gains.agreement * static_cast<double>(source.d) >= policy::confirmedGains &&
                        options.group != Group::permutation;  // the baseline is correlation alone
    if (gains.vectors > 0) reports.push_back(gainsReport(gains, useful ? 1 : 0));
    if (useful) clues.gains = std::move(gains);
    return clues;
}

}  // namespace regauge
