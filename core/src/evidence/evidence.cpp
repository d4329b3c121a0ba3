#include "regauge/evidence.hpp"

#include <algorithm>

#include "evidence/kinds.hpp"
#include "io/arrow.hpp"
#include "io/dequantized.hpp"
#include "regauge/error.hpp"
#include "regauge/io/checkpoint_files.hpp"

namespace regauge {
namespace {

// Evidence files are named in the gauge by their hash; hashing a 5 GB checkpoint would cost more than aligning it.
constexpr std::uint64_t mostHashed = std::uint64_t{256} << 20;

Evidence fromFile(const Files& files, const std::string& path) {
    if (path.ends_with(".index.json") || (path.ends_with(".gguf") && isOneOfSeveral(path)))
        return checkpointEvidence(files, path);
    const std::shared_ptr<const ByteSource> source = files.open(path);
    auto file = std::make_shared<const TensorFile>(dequantized(openTensorFile(source), Dtype::F32));
    Evidence evidence = file->format == FileFormat::arrow ? tableEvidence(file)
                        : looksLikeCheckpoint(*file)      ? checkpointEvidence(files, path)
                        : looksLikeBundle(*file)          ? bundleEvidence(file)
                                                          : plainEvidence(file);
    if (source->size() <= mostHashed) evidence.sha256 = FileHash(source);
    return evidence;
}

Evidence fromFolder(const Files& files, const std::string& path) {
    const std::vector<std::string> names = files.list(path);
    const auto has = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
    if (has("config.json") && !checkpointFileIn(files, path).empty()) return checkpointEvidence(files, path);
    if (has("evidence.safetensors")) return fromFile(files, joinPath(path, "evidence.safetensors"));
    const std::string checkpoint = checkpointFileIn(files, path);
    if (checkpoint.ends_with(".index.json") || checkpoint.ends_with(".gguf")) return checkpointEvidence(files, path);
    if (looksLikeArrowFolder(files, path))
        return tableEvidence(std::make_shared<const TensorFile>(openArrowFolder(files, path)));
    return folderOfRows(files, path);
}

std::string names(const Evidence& evidence) {
    constexpr std::size_t mostShown = 8;
    std::string text;
    for (std::size_t i = 0; i < std::min(mostShown, evidence.sites.size()); ++i)
        text += (i == 0 ? "" : ", ") + evidence.sites[i].name;
    return evidence.sites.size() > mostShown ? text + ", ..." : text;
}

// Keeps the sites that are asked for. Where none of them is there, all stay: who asks is told so later.
void select(Evidence& evidence, const std::vector<std::string>& sites) {
    const auto isOther = [&](const Site& site) {
        return std::find(sites.begin(), sites.end(), site.name) == sites.end();
    };
    if (std::all_of(evidence.sites.begin(), evidence.sites.end(), isOther)) return;
    std::erase_if(evidence.sites, isOther);
    evidence.d = evidence.sites.front().rows->d();
    std::erase_if(evidence.gains, [&](const Gains& gains) { return gains.values.size() != evidence.d; });
}

// Every width and every row count must agree before anyone pairs rows.
void check(const Evidence& evidence) {
    for (const Site& site : evidence.sites) {
        if (site.rows->d() != evidence.d) {
            throw Error(ErrorCode::shapeMismatch, site.rows->where(),
                        "rows of " + std::to_string(site.rows->d()) + " numbers, where others of this evidence have " +
                            std::to_string(evidence.d) + "; choose sites of one width with --site, by the names " +
                            names(evidence));
        }
    }
    const auto perRow = [&](const char* what, std::size_t count) {
        for (const Site& site : evidence.sites) {
            if (site.rows->rows() != count) {
                throw Error(ErrorCode::shapeMismatch, site.rows->where(),
                            std::to_string(site.rows->rows()) + " rows, but there are " + std::to_string(count) + " " +
                                what + "; expected one a row");
            }
        }
    };
    if (evidence.tokenIds) perRow("token_ids", evidence.tokenIds->size());
    if (evidence.mask) perRow("attention_mask entries", evidence.mask->size());
}

}  // namespace

Evidence openEvidence(const Files& files, const std::string& path) { return openEvidence(files, path, {}); }

Evidence openEvidence(const Files& files, const std::string& given, const std::vector<std::string>& sites) {
    if (!files.exists(given)) throw Error(ErrorCode::missingFile, given, "no such file or folder");
    const std::string path = snapshotOf(files, given);
    Evidence evidence = files.isFolder(path) ? fromFolder(files, path) : fromFile(files, path);
    evidence.name = given;
    select(evidence, sites);
    check(evidence);
    return evidence;
}

void addGains(Evidence& evidence, const Files& files, const std::string& path) {
    Evidence other = openEvidence(files, path);
    if (other.gains.empty())
        throw Error(ErrorCode::usage, path,
                    "holds no gains; expected tensors called gains/<norm> of d numbers each, or a checkpoint");
    for (Gains& gains : other.gains) {
        if (gains.values.size() != evidence.d)
            throw Error(ErrorCode::dimensionMismatch, path,
                        "has " + std::to_string(gains.values.size()) + " gains of '" + gains.name +
                            "', and the evidence has d = " + std::to_string(evidence.d));
        const auto same = std::ranges::find(evidence.gains, gains.name, &Gains::name);
        if (same == evidence.gains.end())
            evidence.gains.push_back(std::move(gains));
        else
            *same = std::move(gains);
    }
}

}  // namespace regauge
