#include "report.hpp"

#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <limits>
#include <set>
#include <sstream>

#include "chart.hpp"
#include "regauge/version.hpp"

namespace regauge::experiments {
namespace {

using Results = std::vector<Json>;  // of one study, one a seed

std::string format(const char* pattern, double value) {
    char text[48];
    std::snprintf(text, sizeof text, pattern, value);
    return text;
}

// Mean and range over the seeds.
struct Spread {
    double mean = std::numeric_limits<double>::quiet_NaN(), low = mean, high = mean;
    std::size_t count = 0;

    explicit Spread(const std::vector<double>& values) : count(values.size()) {
        if (values.empty()) return;
        mean = 0;
        for (const double value : values) mean += value / static_cast<double>(values.size());
        low = *std::ranges::min_element(values), high = *std::ranges::max_element(values);
    }
    // "61.2 (54.7 to 70.3)"
    std::string words(const char* pattern = "%.1f", double scale = 100) const {
        if (count == 0) return "";
        const std::string middle = format(pattern, scale * mean), from = format(pattern, scale * low),
                          to = format(pattern, scale * high);
        return from == to ? middle : middle + " (" + from + " to " + to + ")";
    }
};

// A number of every seed.
Spread over(const Results& seeds, const std::function<double(const Json&)>& pick) {
    std::vector<double> values;
    for (const Json& seed : seeds) {
        const double value = pick(seed);
        if (std::isfinite(value)) values.push_back(value);
    }
    return Spread(values);
}

constexpr double none = std::numeric_limits<double>::quiet_NaN();

// The row of a list whose keys have these values.
const Json* rowOf(const Json& rows, const Json& keys) {
    for (const Json& row : rows) {
        bool same = true;
        for (const auto& [key, value] : keys.items()) same = same && row.at(key) == value;
        if (same) return &row;
    }
    return nullptr;
}

std::string tableRow(const std::vector<std::string>& cells) {
    std::string line = "|";
    for (const std::string& cell : cells) line += " " + cell + " |";
    return line + "\n";
}

std::string tableHead(const std::vector<std::string>& cells) {
    std::string rule = "|";
    for (std::size_t k = 0; k < cells.size(); ++k) rule += " --- |";
    return tableRow(cells) + rule + "\n";
}

void addPoint(Series& series, double x, const Spread& spread, double scale = 100) {
    series.x.push_back(x);
    series.y.push_back(scale * spread.mean);
    series.low.push_back(scale * spread.low);
    series.high.push_back(scale * spread.high);
}

const std::vector<double> quarters{0, 25, 50, 75, 100};
const std::vector<std::string> moverNames{"signed", "permutation-only", "signs dropped", "unmoved"};
constexpr const char* moverColours[] = {blue, orange, violet, grey};

std::string verdictsOf(const Results& seeds, const std::function<const Json*(const Json&)>& pick) {
    std::map<std::string, int> counts;
    for (const Json& seed : seeds)
        if (const Json* row = pick(seed)) ++counts[row->at("verdict").get<std::string>()];
    std::string words;
    for (const auto& [verdict, count] : counts)
        words += (words.empty() ? "" : ", ") + std::to_string(count) + " " + verdict;
    return words;
}

class Report {
public:
    Report(const Settings& settings, const std::map<std::string, std::vector<Json>>& results,
           std::filesystem::path folder)
        : settings_(settings), results_(results), folder_(std::move(folder)) {}

    void write() {
        ceiling();
        recovery();
        width();
        evidence();
        sae();
        sentiment();
        refusal();
        signs();
        merge();
        resume();
        sweep();
        writeText(folder_ / "RESULTS.md", head() + text_);
    }

private:
    const Results& of(const std::string& study) const {
        static const Results nothing;
        const auto found = results_.find(study);
        return found == results_.end() ? nothing : found->second;
    }
    void figure(const std::string& name, const std::string& what, const std::string& svg) {
        writeText(folder_ / "figures" / (name + ".svg"), svg);
        text_ += "\n![" + what + "](figures/" + name + ".svg)\n";
    }
    void sum(const std::string& experiment, const std::string& paper, const std::string& ours) {
        summary_ += tableRow({experiment, paper, ours});
    }

    std::string head() const;
    void ceiling();
    void recovery();
    void width();
    void regimes(const std::set<std::pair<std::int64_t, std::int64_t>>& cases, std::int64_t hop);
    void evidence();
    void sae();
    void sentiment();
    void refusal();
    void signs();
    void merge();
    void resume();
    void sweep();

    const Settings& settings_;
    const std::map<std::string, std::vector<Json>>& results_;
    std::filesystem::path folder_;
    std::string text_, summary_;
};

std::string processor() {
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);)
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    return "unknown processor";
}

std::string Report::head() const {
    const ModelShape& shape = settings_.shape;
    const Schedule& schedule = settings_.schedule;
    std::ostringstream out;
    out << "# Results: the paper's tables on small models\n\nWritten by `make experiments"
        << (settings_.name == "quick" ? "-quick" : "") << "`; [README.md](README.md) says how, and what to make of it. "
        << settings_.seeds << " seeds; a cell is the mean over them (lowest to highest). regauge " << version
        << ", libtorch " << TORCH_VERSION << ", GCC " << __VERSION__ << ", " << processor()
        << ".\n\nModel: Llama-style, d = " << shape.d << ", " << shape.layers << " layers, " << shape.heads
        << " heads, MLP " << shape.hidden << ", bytes as tokens; " << schedule.steps << " steps of " << schedule.batch
        << " x " << shape.context << " bytes, AdamW, peak rate " << schedule.rate
        << "; the last fork's runs are then tuned on reviews and requests for " << schedule.tuneSteps
        << " steps (the objects below are theirs); forks at steps";
    for (const std::int64_t fork : settings_.forks) out << (fork == settings_.forks.front() ? " " : ", ") << fork;
    out << ". Evidence: " << settings_.rows
        << " rows a site. Every checkpoint is in random coordinates of its own; \"right\" is the share of channels "
           "with the true partner and sign, in %.\n\n";
    double all = 0;
    std::string stages;
    for (const auto& [stage, seconds] : costsIn(settings_.folder / "costs.tsv")) {
        all += seconds;
        stages += (stages.empty() ? "" : ", ") + stage + " " + format("%.1f", seconds / 60);
    }
    const std::time_t now = std::time(nullptr);
    char date[16];
    std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
    out << "Written on " << date << ". Cost: " << format("%.0f", all / 60) << " minutes of CPU time (" << stages
        << "), so " << format("%.0f", all / 120) << " minutes on two idle cores.\n\n";
    return out.str() + tableHead({"experiment", "the paper", "here"}) + summary_;
}

void Report::ceiling() {
    const Results& seeds = of("ceiling");
    if (seeds.empty()) return;
    text_ +=
        "\n## Ceiling\nChannels recovered (%) at a given share of positive signs: simulated channels (d = 128, noise "
        "0.5), and the trained model's last site against itself " +
        std::to_string(settings_.evidenceEvery) + " steps earlier.\n\n" +
        tableHead({"positive signs", "permutation-only, simulated", "sign-marginalized, simulated",
                   "permutation-only, trained", "sign-marginalized, trained"});
    Series raw{"permutation-only", orange, {}, {}, {}, {}}, marginalized{"sign-marginalized", blue, {}, {}, {}, {}},
        rawTrained{"permutation-only, trained", violet, {}, {}, {}, {}},
        trained{"sign-marginalized, trained", green, {}, {}, {}, {}},
        theory{"dashed: the ceiling", grey, {0, 100}, {0, 100}, {}, {}, true};
    Series* all[] = {&raw, &marginalized, &rawTrained, &trained};
    for (std::size_t k = 0; k < seeds.front().at("simulated").size(); ++k) {
        std::vector<std::string> cells{format("%.0f", 100 * seeds.front()["simulated"][k][0].get<double>())};
        for (std::size_t s = 0; s < 4; ++s) {
            const char* kind = s < 2 ? "simulated" : "trained";
            const Spread spread = over(seeds, [&](const Json& seed) { return seed[kind][k][1 + s % 2].get<double>(); });
            addPoint(*all[s], 100 * seeds.front()[kind][k][0].get<double>(), spread);
            cells.push_back(spread.words());
        }
        text_ += tableRow(cells);
    }
    figure("ceiling", "Channels recovered against the share of positive signs",
           lineChart("Channels recovered (%)", {"positive signs (%)", 0, 100, false, quarters, {}},
                     {"", 0, 100, false, quarters, {}}, {theory, raw, rawTrained, marginalized, trained}));
    double beyond = -1, worst = 1;
    for (std::size_t k = 0; k < raw.x.size(); ++k)
        beyond = std::max({beyond, (raw.high[k] - raw.x[k]) / 100, (rawTrained.high[k] - rawTrained.x[k]) / 100}),
        worst = std::min({worst, marginalized.low[k] / 100, trained.low[k] / 100});
    sum("ceiling", "raw signed matching stops at the share of positive signs; sign-marginalized does not",
        "raw exceeds it by at most " + format("%.1f", 100 * beyond) + " points; sign-marginalized recovers at least " +
            format("%.1f %%", 100 * worst));
}

void Report::recovery() {
    const Results& seeds = of("recovery");
    if (seeds.empty()) return;
    const auto get = [&](std::int64_t fork, std::int64_t steps, std::int64_t spacing, const std::string& method,
                         const char* key = "right") {
        return over(seeds, [&](const Json& seed) {
            const Json* row =
                rowOf(seed.at("rows"), {{"fork", fork}, {"steps", steps}, {"spacing", spacing}, {"method", method}});
            return row == nullptr ? none : row->at(key).get<double>();
        });
    };
    const std::int64_t hop = settings_.spacings.front();
    std::set<std::pair<std::int64_t, std::int64_t>> cases;
    for (const Json& row : seeds.front().at("rows"))
        cases.emplace(row["fork"].get<std::int64_t>(), row["steps"].get<std::int64_t>());

    text_ +=
        "\n## Cross-run recovery\nTwo runs of one base that part at a step and see other text; right channels (%). "
        "plain: correlation, the paper's statistic, on the last residual place (last) or the embedding (first); auto: "
        "regauge's choice of statistic, every site. "
        "\"via base\": both ends matched with the checkpoint at which they parted. Hop by hop and `trace`: a "
        "checkpoint every " +
        std::to_string(hop) +
        " steps, back to where the runs parted and forward again. The figures below have every step.\n\n" +
        tableHead({"fork at", "both at step", "ends, plain, last", "ends, plain, first", "ends, whitened, last",
                   "ends, auto", "via base, plain, last", "via base, plain, first", "via base, auto",
                   "hop by hop, plain, last", "hop by hop, plain, first", "hop by hop, auto", "`trace`"});
    for (const auto& [fork, steps] : cases) {
        if (steps > 2 * settings_.checkpointEvery && steps % (2 * settings_.checkpointEvery) != 0 &&
            steps != settings_.schedule.steps)
            continue;
        const auto at = [&, fork = fork, steps = steps](const std::string& method, std::int64_t spacing) {
            return get(fork, steps, spacing, method).words();
        };
        text_ += tableRow({std::to_string(fork), std::to_string(steps), at("ends (plain, last)", 0),
                           at("ends (plain, first)", 0), at("ends (whitened, last)", 0), at("ends (auto)", 0),
                           at("via base (plain, last)", 0), at("via base (plain, first)", 0), at("via base (auto)", 0),
                           at("hop by hop (plain, last)", hop), at("hop by hop (plain, first)", hop),
                           at("hop by hop (auto)", hop), at("trace (auto)", hop)});
    }
    regimes(cases, hop);
    text_ += "\nAt step " + std::to_string(settings_.schedule.steps) + ", by the spacing of the checkpoints:\n\n" +
             tableHead({"fork at", "spacing", "hop by hop, plain, last", "hop by hop, plain, first",
                        "hop by hop, plain, every site", "hop by hop, auto", "`trace`, last", "`trace`", "its estimate",
                        "its verdict"});
    for (const std::int64_t fork : settings_.forks)
        for (const std::int64_t spacing : settings_.spacings) {
            const auto at = [&](const std::string& method, const char* key = "right") {
                return get(fork, settings_.schedule.steps, spacing, method, key).words();
            };
            text_ += tableRow({std::to_string(fork), std::to_string(spacing), at("hop by hop (plain, last)"),
                               at("hop by hop (plain, first)"), at("hop by hop (plain)"), at("hop by hop (auto)"),
                               at("trace (whitened, last)"), at("trace (auto)"), at("trace (auto)", "estimate"),
                               verdictsOf(seeds, [&](const Json& seed) {
                                   return rowOf(seed.at("rows"), {{"fork", fork},
                                                                  {"steps", settings_.schedule.steps},
                                                                  {"spacing", spacing},
                                                                  {"method", "trace (auto)"}});
                               })});
        }

    const auto curve = [&](const std::string& name, const char* colour, std::int64_t fork, std::int64_t spacing,
                           const std::string& method) {
        Series series{name, colour, {}, {}, {}, {}};
        for (const auto& [f, steps] : cases)
            if (f == fork) addPoint(series, static_cast<double>(steps), get(fork, steps, spacing, method));
        return series;
    };
    const double last = static_cast<double>(settings_.schedule.steps);
    std::vector<double> ticks;
    for (std::int64_t step = 0; step <= settings_.schedule.steps; step += settings_.checkpointEvery)
        ticks.push_back(static_cast<double>(step));
    for (const std::int64_t fork : settings_.forks)
        figure(
            "recovery-fork" + std::to_string(fork),
            "Right channels over the step at which two runs are compared that parted at step " + std::to_string(fork),
            lineChart(
                "Right channels (%): runs that parted at step " + std::to_string(fork),
                {"both runs at step", 0, last, false, ticks, {}}, {"", 0, 100, false, quarters, {}},
                {curve("trace", blue, fork, hop, "trace (auto)"), curve("ends, auto", green, fork, 0, "ends (auto)"),
                 curve("hops, plain, first", violet, fork, hop, "hop by hop (plain, first)"),
                 curve("ends, plain, first", red, fork, 0, "ends (plain, first)"),
                 curve("hops, plain, last", grey, fork, hop, "hop by hop (plain, last)"),
                 curve("ends, plain, last", orange, fork, 0, "ends (plain, last)")}));
    const std::int64_t first = settings_.forks.front();
    sum("the same, runs that part at step " + std::to_string(first), "",
        "plain ends " + get(first, settings_.schedule.steps, 0, "ends (plain, last)").words() +
            " %, plain hop by hop " + get(first, settings_.schedule.steps, hop, "hop by hop (plain, last)").words() +
            " % (first site: " + get(first, settings_.schedule.steps, hop, "hop by hop (plain, first)").words() +
            " %); `trace` " + get(first, settings_.schedule.steps, hop, "trace (auto)").words() + " %");
}

// The paper's setting is the one in which plain end points give 60.3 %: by either site, the cell of the table that is
// nearest to it, and every single pair that is near.
void Report::regimes(const std::set<std::pair<std::int64_t, std::int64_t>>& cases, std::int64_t hop) {
    constexpr double paper = 0.603, composed = 0.911, low = 0.45, high = 0.75;
    text_ += "\nWhere plain end points give the paper's figure, 60.3 % (its composed figure is 91.1 %):\n\n" +
             tableHead({"pairs of runs", "ends, plain", "via base, plain", "hop by hop, plain", "ends, auto",
                        "via base, auto", "hop by hop, auto", "`trace`", "`trace` above 91.1 %"});
    for (const std::string site : {"last", "first"}) {
        const std::vector<std::pair<std::string, std::int64_t>> methods{{"ends (plain, " + site + ")", 0},
                                                                        {"via base (plain, " + site + ")", 0},
                                                                        {"hop by hop (plain, " + site + ")", hop},
                                                                        {"ends (auto)", 0},
                                                                        {"via base (auto)", 0},
                                                                        {"hop by hop (auto)", hop},
                                                                        {"trace (auto)", hop}};
        std::vector<std::vector<double>> nearest, near(methods.size());
        double gap = 2;
        std::string cell;
        std::set<std::size_t> seedsNear;
        for (const auto& [fork, steps] : cases) {
            std::vector<std::vector<double>> here(methods.size());
            for (std::size_t seed = 0; seed < of("recovery").size(); ++seed) {
                std::vector<double> right;
                for (const auto& [method, spacing] : methods)
                    right.push_back(rowOf(of("recovery")[seed].at("rows"),
                                          {{"fork", fork}, {"steps", steps}, {"spacing", spacing}, {"method", method}})
                                        ->at("right")
                                        .get<double>());
                const bool isNear = right.front() >= low && right.front() <= high;
                if (isNear) seedsNear.insert(seed);
                for (std::size_t m = 0; m < methods.size(); ++m) {
                    here[m].push_back(right[m]);
                    if (isNear) near[m].push_back(right[m]);
                }
            }
            if (const double off = std::fabs(Spread(here.front()).mean - paper); off < gap)
                gap = off, nearest = here, cell = "fork at " + std::to_string(fork) + ", step " + std::to_string(steps);
        }
        const auto add = [&](const std::string& name, const std::vector<std::vector<double>>& values) {
            std::vector<std::string> cells{name};
            for (const std::vector<double>& one : values) cells.push_back(Spread(one).words());
            cells.push_back(
                std::to_string(std::ranges::count_if(values.back(), [&](double v) { return v > composed; })) + " of " +
                std::to_string(values.back().size()));
            text_ += tableRow(cells);
            sum("cross-run recovery, " + name,
                "91.1 % composed, 60.3 % end points at 1500 steps, and not by way of the base",
                "plain: ends " + cells[1] + " %, via base " + cells[2] + " %, hop by hop " + cells[3] +
                    " %; ours: ends " + cells[4] + " %, `trace` " + cells[7] +
                    " %, above the paper's composed figure in " + cells[8]);
        };
        add(site + " site, nearest cell: " + cell, nearest);
        if (!near.front().empty())
            add(site + " site, every pair with ends of 45 to 75 % (" + std::to_string(near.front().size()) +
                    " pairs of " + std::to_string(seedsNear.size()) + " seeds)",
                near);
    }
}

void Report::width() {
    const Results& seeds = of("width");
    if (seeds.empty()) return;
    const Settings wide = wider(settings_);
    const std::int64_t hop = wide.spacings.front();
    text_ += "\n## The same at twice the width\nd = " + std::to_string(wide.shape.d) + ", " +
             std::to_string(wide.shape.heads) + " heads, MLP " + std::to_string(wide.shape.hidden) + ", " +
             std::to_string(seeds.size()) + " seeds, everything else as above; both runs compared at a step, hops of " +
             std::to_string(hop) + " steps.\n\n" +
             tableHead({"fork at", "both at step", "ends, plain, last", "ends, plain, first", "ends, auto",
                        "via base, plain, last", "via base, plain, first", "via base, auto", "hop by hop, plain, last",
                        "hop by hop, plain, first", "hop by hop, auto", "`trace`", "its verdict"});
    for (const Json& row : seeds.front().at("rows")) {
        if (row["method"] != "ends (auto)") continue;
        const auto find = [&](const Json& seed, const std::string& method, std::int64_t spacing) {
            return rowOf(seed.at("rows"),
                         {{"fork", row["fork"]}, {"steps", row["steps"]}, {"spacing", spacing}, {"method", method}});
        };
        const auto right = [&](const std::string& method, std::int64_t spacing) {
            return over(seeds, [&](const Json& seed) { return find(seed, method, spacing)->at("right").get<double>(); })
                .words();
        };
        text_ += tableRow({std::to_string(row["fork"].get<int>()), std::to_string(row["steps"].get<int>()),
                           right("ends (plain, last)", 0), right("ends (plain, first)", 0), right("ends (auto)", 0),
                           right("via base (plain, last)", 0), right("via base (plain, first)", 0),
                           right("via base (auto)", 0), right("hop by hop (plain, last)", hop),
                           right("hop by hop (plain, first)", hop), right("hop by hop (auto)", hop),
                           right("trace (auto)", hop),
                           verdictsOf(seeds, [&](const Json& seed) { return find(seed, "trace (auto)", hop); })});
    }
}

void Report::evidence() {
    const Results& seeds = of("evidence");
    if (seeds.empty()) return;
    std::vector<std::string> pairs, kinds;
    for (const Json& row : seeds.front().at("kinds")) {
        const std::string pair = row["pair"], kind = row["evidence"];
        if (std::ranges::find(pairs, pair) == pairs.end()) pairs.push_back(pair);
        if (std::ranges::find(kinds, kind) == kinds.end()) kinds.push_back(kind);
    }
    text_ +=
        "\n## Evidence, and where it breaks\nEnd points only, right channels (%) and the verdicts of the seeds. For "
        "models of different seeds there is no truth: the verdict must be unrelated.\n\n";
    std::vector<std::string> titles{"pair"};
    titles.insert(titles.end(), kinds.begin(), kinds.end());
    text_ += tableHead(titles);
    for (const std::string& pair : pairs) {
        std::vector<std::string> cells{pair};
        for (const std::string& kind : kinds) {
            const auto pick = [&](const Json& seed) {
                return rowOf(seed.at("kinds"), {{"pair", pair}, {"evidence", kind}});
            };
            const std::string right = pair == "different seeds"
                                          ? ""
                                          : over(seeds,
                                                 [&](const Json& seed) {
                                                     const Json* row = pick(seed);
                                                     return row ? row->at("right").get<double>() : none;
                                                 }).words() +
                                                "; ";
            const std::string verdicts = verdictsOf(seeds, pick);
            cells.push_back(verdicts.empty() ? "" : right + verdicts);
        }
        text_ += tableRow(cells);
    }
    const auto rightOf = [&](const std::string& pair, const char* kind) {
        return over(seeds,
                    [&](const Json& seed) {
                        return rowOf(seed.at("kinds"), {{"pair", pair}, {"evidence", kind}})->at("right").get<double>();
                    })
            .words();
    };
    sum("beyond the paper: weights alone, end points, " + pairs.front(), "",
        rightOf(pairs.front(), "weights: all") + " % (embedding only: " + rightOf(pairs.front(), "weights: embedding") +
            " %; activations of every site: " + rightOf(pairs.front(), "activations, all sites") + " %)");
    sum("where it breaks: models of different seeds", "",
        "verdicts: " +
            verdictsOf(seeds,
                       [](const Json& seed) {
                           return rowOf(seed.at("kinds"),
                                        {{"pair", "different seeds"}, {"evidence", "activations, all sites"}});
                       }) +
            " on activations, " +
            verdictsOf(seeds,
                       [](const Json& seed) {
                           return rowOf(seed.at("kinds"), {{"pair", "different seeds"}, {"evidence", "weights: all"}});
                       }) +
            " on weights");
    text_ += "\nFew rows of each site:\n\n" +
             tableHead({"pair", "rows", "plain, last site", "auto", "its estimate", "verdicts"});
    for (const Json& one : seeds.front().at("rows")) {
        const auto pick = [&](const Json& seed) {
            return rowOf(seed.at("rows"), {{"pair", one["pair"]}, {"rows", one["rows"]}});
        };
        const auto value = [&](const char* key) {
            return over(seeds, [&](const Json& seed) { return pick(seed)->at(key).get<double>(); }).words();
        };
        text_ += tableRow({one["pair"], std::to_string(one["rows"].get<int>()), value("plain"), value("auto"),
                           value("estimate"), verdictsOf(seeds, pick)});
    }
}

// A table of pairs against movers, and bars.
struct MoverTable {
    std::string text;
    std::vector<std::string> groups;
    std::vector<Series> series;
};

MoverTable moverTable(const Results& seeds, const std::string& rightTitle,
                      const std::function<const Json&(const Json&)>& pairsOf,
                      const std::function<double(const Json& seed, const Json& pair, const std::string& mover)>& value,
                      const char* pattern, double scale) {
    MoverTable table;
    std::vector<std::string> titles{"target", rightTitle};
    titles.insert(titles.end(), moverNames.begin(), moverNames.end());
    table.text = tableHead(titles);
    for (std::size_t k = 0; k < moverNames.size(); ++k)
        table.series.push_back({moverNames[k], moverColours[k], {}, {}, {}, {}, false});
    for (std::size_t p = 0; p < pairsOf(seeds.front()).size(); ++p) {
        const std::string name = pairsOf(seeds.front())[p].at("pair");
        std::vector<std::string> cells{
            name, over(seeds, [&](const Json& seed) { return pairsOf(seed)[p].at("right").get<double>(); }).words()};
        for (std::size_t k = 0; k < moverNames.size(); ++k) {
            const Spread spread =
                over(seeds, [&](const Json& seed) { return value(seed, pairsOf(seed)[p], moverNames[k]); });
            cells.push_back(spread.words(pattern, scale));
            addPoint(table.series[k], static_cast<double>(p), spread, scale);
        }
        table.groups.push_back(name);
        table.text += tableRow(cells);
    }
    return table;
}

void Report::sae() {
    const Results& seeds = of("sae");
    if (seeds.empty()) return;
    const auto pairs = [](const Json& seed) -> const Json& { return seed.at("pairs"); };
    const MoverTable table = moverTable(
        seeds, "right channels (%)", pairs,
        [](const Json&, const Json& pair, const std::string& mover) { return pair["nmse"][mover].get<double>(); },
        "%.3f", 1);
    const Spread own = over(seeds, [](const Json& seed) { return seed["own"].get<double>(); });
    text_ += "\n## SAE\nA top-k SAE (" + std::to_string(4 * settings_.shape.d) +
             " latents) of the first layer's output, moved to a target; NMSE of its reconstruction there. At home: " +
             own.words("%.3f", 1) + ". By the true gauge: ";
    for (std::size_t p = 0; p < table.groups.size(); ++p)
        text_ +=
            (p == 0 ? "" : ", ") +
            over(seeds, [&](const Json& seed) { return seed["pairs"][p]["truth"].get<double>(); }).words("%.3f", 1) +
            " (" + table.groups[p] + ")";
    text_ += ".\n\n" + table.text;
    figure("sae", "NMSE of the moved SAE",
           barChart("NMSE of the moved SAE (lower is better)", table.groups, {"", 0, 2, false, {0, 0.5, 1, 1.5, 2}, {}},
                    table.series));
    const auto nmse = [&](const char* mover) {
        return over(seeds, [&](const Json& seed) { return seed["pairs"][0]["nmse"][mover].get<double>(); })
            .words("%.3f", 1);
    };
    const auto drifted = [&](const char* mover) {
        return over(seeds, [&](const Json& seed) { return seed["pairs"][2]["nmse"][mover].get<double>(); })
            .words("%.3f", 1);
    };
    sum("SAE reconstruction (NMSE)", "0.004 signed, 1.08 permutation-only",
        "same function: " + nmse("signed") + " signed (at home " + own.words("%.3f", 1) + "), " +
            nmse("permutation-only") + " permutation-only, " + nmse("signs dropped") + " signs dropped; other run: " +
            drifted("signed") + " signed, " + drifted("permutation-only") + " permutation-only");
}

void Report::sentiment() {
    const Results& seeds = of("steering");
    if (seeds.empty()) return;
    const auto pairs = [](const Json& seed) -> const Json& { return seed.at("sentiment").at("pairs"); };
    const auto kept = [](const Json& seed, const Json& pair, const std::string& mover) {
        return pair["effect"][mover].get<double>() / seed["sentiment"]["own"].get<double>();
    };
    const MoverTable table = moverTable(seeds, "right channels (%)", pairs, kept, "%.1f", 100);
    text_ +=
        "\n## Sentiment steering\nThe vector (mean of the last residual place after positive reviews less that after "
        "negative ones) pulls the rating of reviews without a clue; the share (%) of its effect at home on log odds of "
        "good against bad that it has on the target. At home: " +
        over(seeds, [](const Json& seed) { return seed["sentiment"]["own"].get<double>(); }).words("%.2f", 1) +
        " nats.\n\n" + table.text;
    figure("sentiment", "Effect of the sentiment vector that is kept",
           barChart("Sentiment effect kept (%)", table.groups, {"", -50, 150, false, {-50, 0, 50, 100, 150}, {}},
                    table.series));
    const auto cell = [&](std::size_t p, const char* mover) {
        return over(seeds, [&](const Json& seed) { return kept(seed, pairs(seed)[p], mover); }).words();
    };
    const std::size_t last = table.groups.size() - 1;
    sum("sentiment steering, effect kept", "95.8 % signed, 17.2 % permutation-only",
        "same function: " + cell(0, "signed") + " %, permutation-only " + cell(0, "permutation-only") +
            " %, signs dropped " + cell(0, "signs dropped") + " %; other run: " + cell(last, "signed") +
            " %, permutation-only " + cell(last, "permutation-only") + " %, signs dropped " +
            cell(last, "signs dropped") + " %");
}

void Report::refusal() {
    const Results& seeds = of("steering");
    if (seeds.empty()) return;
    const auto cell = [&](const std::function<double(const Json&)>& pick) { return over(seeds, pick).words(); };
    text_ +=
        "\n## Refusal steering\nShare of held-out requests that are refused (%), greedily decoded. The vector acts at "
        "the last residual place, at the last byte of the prompt. +: added to harmless requests, which should then be "
        "refused; -: taken from harmful ones, which should then be answered. A vector whose sign is reversed has "
        "harmful requests answered with + and harmless ones refused with -. Coefficient (chosen at home): " +
        over(seeds, [](const Json& seed) { return seed["refusal"]["coefficient"].get<double>(); }).words("%.2f", 1) +
        ".\n\n" +
        tableHead({"target", "vector", "harmless, unsteered", "harmless +", "harmful, unsteered", "harmful -",
                   "harmless -", "harmful +"});
    const auto add = [&](const std::string& target, const std::string& vector,
                         const std::function<const Json&(const Json&)>& unsteered,
                         const std::function<const Json&(const Json&)>& rates) {
        const auto of = [&](const std::function<const Json&(const Json&)>& from, const char* key) {
            return cell([&](const Json& seed) { return from(seed)[key].get<double>(); });
        };
        text_ += tableRow({target, vector, of(unsteered, "harmless"), of(rates, "harmless +"), of(unsteered, "harmful"),
                           of(rates, "harmful -"), of(rates, "harmless -"), of(rates, "harmful +")});
    };
    add(
        "at home", "its own", [](const Json& seed) -> const Json& { return seed["refusal"]["unsteered"]; },
        [](const Json& seed) -> const Json& { return seed["refusal"]["own"]; });
    const Json& first = seeds.front()["refusal"]["pairs"];
    for (std::size_t p = 0; p < first.size(); ++p)
        for (const std::string& mover : moverNames)
            add(
                first[p]["pair"], mover,
                [&, p](const Json& seed) -> const Json& { return seed["refusal"]["pairs"][p]["unsteered"]; },
                [&, p](const Json& seed) -> const Json& { return seed["refusal"]["pairs"][p]["rates"][mover]; });
    const auto rate = [&](std::size_t p, const std::string& mover, const char* way) {
        return over(seeds,
                    [&](const Json& seed) { return seed["refusal"]["pairs"][p]["rates"][mover][way].get<double>(); });
    };
    std::vector<Series> series;
    std::vector<std::string> groups;
    for (std::size_t m = 0; m < moverNames.size(); ++m) {
        series.push_back({moverNames[m], moverColours[m], {}, {}, {}, {}, false});
        for (std::size_t p = 0; p < first.size(); ++p)
            for (const char* way : {"harmless +", "harmful -"}) addPoint(series.back(), 0, rate(p, moverNames[m], way));
    }
    for (std::size_t p = 0; p < first.size(); ++p)
        groups.insert(groups.end(), {std::to_string(p + 1) + ": +", std::to_string(p + 1) + ": -"});
    figure("refusal",
           "Requests refused with the moved vector added (+, to harmless ones) and taken away (-, from harmful ones)",
           barChart("Refused (%); 1: the same function, 2: earlier in the run, 3: the other run", groups,
                    {"", 0, 100, false, quarters, {}}, series));
    const auto both = [&](const char* mover) {
        return rate(0, mover, "harmless +").words() + " and " + rate(0, mover, "harmful -").words();
    };
    sum("refusal steering", "the sign reverses under permutation-only",
        "same function, harmless refused with + and harmful refused with - (%): signed " + both("signed") +
            "; permutation-only " + both("permutation-only") + "; signs dropped " + both("signs dropped"));
}

// By the share of positive signs: where dropping them reverses what a vector does.
void Report::signs() {
    const Results& seeds = of("steering");
    if (seeds.empty()) return;
    text_ +=
        "\n## Signs and steering\nThe same function in random coordinates with a given share of positive signs, "
        "vectors at the last residual place; " +
        std::to_string(settings_.signDraws) +
        " gauges of each share and seed, cells over all of them. Sentiment: effect kept (%), and in how many gauges it "
        "is reversed. Refused (%): as above; reversed where fewer requests of a kind are refused with + than with -. "
        "By theory a vector with equal entries keeps 2p - 1 of its effect under a right permutation without "
        "signs.\n\n" +
        tableHead({"positive signs (%)", "vector moved", "right channels (%)", "sentiment kept", "reversed",
                   "harmless +", "harmful -", "harmless -", "harmful +", "reversed"});
    std::vector<double> shares;
    for (const Json& row : seeds.front().at("signs"))
        if (std::ranges::find(shares, row["positive"].get<double>()) == shares.end()) shares.push_back(row["positive"]);
    std::vector<Series> series;
    std::string reversals;
    for (std::size_t m = 0; m < 3; ++m) series.push_back({moverNames[m], moverColours[m], {}, {}, {}, {}, false});
    for (const double share : shares)
        for (std::size_t m = 0; m < 3; ++m) {
            std::vector<const Json*> rows;
            for (const Json& seed : seeds)
                for (const Json& row : seed["signs"])
                    if (row["positive"] == share && row["mover"] == moverNames[m]) rows.push_back(&row);
            const auto spread = [&](const std::function<double(const Json&)>& pick) {
                std::vector<double> values;
                for (const Json* row : rows) values.push_back(pick(*row));
                return Spread(values);
            };
            const auto rate = [&](const char* way) {
                return spread([&](const Json& row) { return row["refusal"][way].get<double>(); }).words("%.0f");
            };
            const auto reversed = [&](const std::function<bool(const Json&)>& is) {
                return std::to_string(std::ranges::count_if(rows, [&](const Json* row) { return is(*row); })) + " of " +
                       std::to_string(rows.size());
            };
            const Spread kept = spread([](const Json& row) { return row["sentiment"].get<double>(); });
            const std::string sentimentReversed =
                reversed([](const Json& row) { return row["sentiment"].get<double>() < 0; });
            const std::string refusalReversed = reversed([](const Json& row) {
                return row["refusal"]["harmful +"].get<double>() < row["refusal"]["harmful -"].get<double>() ||
                       row["refusal"]["harmless +"].get<double>() < row["refusal"]["harmless -"].get<double>();
            });
            text_ += tableRow({format("%.0f", 100 * share), moverNames[m],
                               spread([](const Json& row) { return row["right"].get<double>(); }).words(),
                               kept.words("%.0f"), sentimentReversed, rate("harmless +"), rate("harmful -"),
                               rate("harmless -"), rate("harmful +"), refusalReversed});
            addPoint(series[m], 100 * share, kept);
            if (m > 0 && share <= 0.5)
                reversals += (reversals.empty() ? "" : "; ") + format("%.0f %% positive, ", 100 * share) +
                             moverNames[m] + ": sentiment " + sentimentReversed + ", refusal " + refusalReversed;
        }
    figure("signs", "Sentiment effect kept over the share of positive signs",
           lineChart("Sentiment effect kept (%)", {"positive signs (%)", 0, 100, false, quarters, {}},
                     {"", -150, 150, false, {-150, -100, -50, 0, 50, 100, 150}, {}}, series));
    sum("where the sign reverses", "under permutation-only",
        "gauges that reverse the vector, by share of positive signs: " + reversals);
}

void Report::merge() {
    const Results& seeds = of("merge");
    if (seeds.empty()) return;
    std::vector<std::string> titles{"fork at", "right (%)", "the two runs", "merged: true gauge"};
    titles.insert(titles.end(), moverNames.begin(), moverNames.end());
    text_ +=
        "\n## Merge\nHeld-out loss (nats a byte) of the average of both runs, the second moved into the first's "
        "coordinates by each gauge (\"signed\": `trace`). log 256 = 5.55 is knowing nothing.\n\n" +
        tableHead(titles);
    std::string shown;
    for (std::size_t k = 0; k < seeds.front().size(); ++k) {
        const auto merged = [&](const std::string& mover) {
            return over(seeds, [&](const Json& seed) { return seed[k]["merged"][mover].get<double>(); });
        };
        std::vector<std::string> cells{
            std::to_string(seeds.front()[k]["fork"].get<int>()),
            over(seeds, [&](const Json& seed) { return seed[k]["right"].get<double>(); }).words(),
            over(seeds, [&](const Json& seed) { return (seed[k]["a"].get<double>() + seed[k]["b"].get<double>()) / 2; })
                .words("%.3f", 1),
            merged("true gauge").words("%.3f", 1)};
        for (const std::string& mover : moverNames) cells.push_back(merged(mover).words("%.3f", 1));
        text_ += tableRow(cells);
        if (k + 1 == seeds.front().size())
            shown = "fork at " + cells[0] + ": loss " + cells[4] + " signed, " + cells[3] + " by the true gauge, " +
                    cells[5] + " permutation-only, " + cells[7] + " unmoved; the runs themselves " + cells[2];
    }
    sum("coordinate-preserving merge", "behaves the same way", shown);
}

void Report::resume() {
    const Results& seeds = of("resume");
    if (seeds.empty()) return;
    const Json& steps = seeds.front()["steps"];
    text_ += "\n## AdamW state\nA checkpoint of step " + std::to_string(seeds.front()["from"].get<int>()) +
             " and its AdamW state, moved and trained on with the same batches: distance of its parameters, moved "
             "back, from the uninterrupted run's, over what that run travelled (mean over the seeds; the last one with "
             "its range). The model is moved with signs always; the state as named, by gauges matched on the two "
             "models' evidence.\n\n";
    std::vector<std::string> titles{"state"};
    for (const Json& step : steps) titles.push_back(std::to_string(step.get<int>()) + (step == 1 ? " step" : " steps"));
    titles.push_back("loss at the end");
    text_ += tableHead(titles);
    const std::vector<std::pair<std::string, const char*>> kinds{{"signed, float64", green}, {"signed", blue},
                                                                 {"permutation-only", red},  {"signs dropped", violet},
                                                                 {"unmoved", grey},          {"AdamW anew", orange}};
    std::vector<Series> series;
    for (const auto& [kind, colour] : kinds) {
        Series one{kind, colour, {}, {}, {}, {}};
        std::vector<std::string> cells{kind};
        for (std::size_t k = 0; k < steps.size(); ++k) {
            const Spread spread =
                over(seeds, [&, what = kind](const Json& seed) { return seed["distance"][what][k].get<double>(); });
            addPoint(one, steps[k].get<double>(), spread, 1);
            cells.push_back(k + 1 == steps.size() ? spread.words("%.1e", 1) : format("%.1e", spread.mean));
        }
        cells.push_back(over(seeds, [&, what = kind](const Json& seed) {
                            return seed["loss"][what].get<double>();
                        }).words("%.4f", 1));
        text_ += tableRow(cells);
        series.push_back(one);
    }
    text_ +=
        "\nThe uninterrupted run's loss at the end: " +
        over(seeds, [](const Json& seed) { return seed["loss"]["uninterrupted"].get<double>(); }).words("%.4f", 1) +
        ".\n";
    figure("resume", "Distance from the uninterrupted run over the steps after moving",
           lineChart(
               "Distance from the uninterrupted run, relative", {"steps after moving", 1, 200, true, {1, 10, 100}, {}},
               {"", 1e-16, 10, true, {1e-16, 1e-12, 1e-8, 1e-4, 1}, {"1e-16", "1e-12", "1e-8", "1e-4", "1"}}, series));
    const auto end = [&](const char* kind) {
        return over(seeds, [&](const Json& seed) { return seed["distance"][kind].back().get<double>(); })
            .words("%.1e", 1);
    };
    sum("AdamW state", "signed resume follows the trajectory, permutation-only leaves it",
        "relative distance after " + std::to_string(steps.back().get<int>()) + " steps: " + end("signed") +
            " signed (" + end("signed, float64") + " in float64), " + end("permutation-only") + " permutation-only, " +
            end("signs dropped") + " signs dropped");
}

void Report::sweep() {
    const Results& seeds = of("sweep");
    if (seeds.empty()) return;
    text_ += "\n## Gauge sweep\nTop-" + std::to_string(seeds.front()["k"].get<int>()) +
             " channels of an object and of the same object in the moved model, over " +
             std::to_string(seeds.front()["gauges"].get<int>()) +
             " random gauges (`regauge audit`): overlap (Jaccard) and share of right signs.\n\n" +
             tableHead({"object", "overlap, moved", "overlap, not moved", "5th to 95th percentile", "by chance",
                        "signs, moved", "signs, not moved"});
    for (std::size_t k = 0; k < seeds.front()["objects"].size(); ++k) {
        const auto at = [&](const char* what, const char* key) {
            return over(seeds, [&](const Json& seed) { return seed["objects"][k][what][key].get<double>(); });
        };
        text_ +=
            tableRow({seeds.front()["objects"][k]["object"], at("overlap", "moved").words("%.3f", 1),
                      at("overlap", "not moved").words("%.3f", 1),
                      format("%.3f", at("overlap", "low").mean) + " to " + format("%.3f", at("overlap", "high").mean),
                      at("overlap", "chance").words("%.3f", 1), at("sign", "moved").words("%.3f", 1),
                      at("sign", "not moved").words("%.3f", 1)});
        if (k == 0)
            sum("gauge sweep", "index-level claims are reproducible only relative to an explicit gauge",
                "overlap of the top-" + std::to_string(seeds.front()["k"].get<int>()) +
                    " channels over random gauges: " + at("overlap", "moved").words("%.3f", 1) + " moved, " +
                    at("overlap", "not moved").words("%.3f", 1) + " not moved (chance " +
                    at("overlap", "chance").words("%.3f", 1) + ")");
    }
}

}  // namespace

void writeReport(const Settings& settings, const std::map<std::string, std::vector<Json>>& results,
                 const std::filesystem::path& folder) {
    Report(settings, results, folder).write();
}

}  // namespace regauge::experiments
