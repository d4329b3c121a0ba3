#include "hidden/matched_rows.hpp"

#include <cstring>
#include <utility>

#include "hidden/match_hidden.hpp"

namespace regauge {
namespace {

// Fewer rows than this say nothing of d channels.
constexpr std::size_t fewestRows = 16;

// Some rows of one weight, each with a factor; the weight is read whenever rows are asked for: all of them together.
class MatchedRows final : public RowReader {
public:
    MatchedRows(std::shared_ptr<const HiddenCheckpoint> checkpoint, std::size_t layer, HiddenRole role,
                std::vector<std::uint32_t> rows, std::vector<double> factor)
        : checkpoint_(std::move(checkpoint)),
          layer_(layer),
          role_(role),
          rows_(std::move(rows)),
          factor_(std::move(factor)),
          where_(checkpoint_->path() + ": " + checkpoint_->layout().module(role, layer)) {}

    std::uint64_t rows() const override { return rows_.size(); }
    std::size_t d() const override { return checkpoint_->config().d; }
    Dtype dtype() const override { return Dtype::F32; }
    std::uint64_t rowsTogether() const override { return rows(); }
    const std::string& where() const override { return where_; }

    void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
        const HiddenRows weight = checkpoint_->rows(role_, layer_, nullptr);
        const std::size_t width = d();
        std::vector<float> row(width);
        for (std::uint64_t k = 0; k < count; ++k) {
            const auto i = static_cast<std::size_t>(first + k);
            const float* from = weight.row(rows_[i]);
            for (std::size_t c = 0; c < width; ++c) row[c] = static_cast<float>(from[c] * factor_[i]);
            std::memcpy(&out[static_cast<std::size_t>(k) * width * sizeof(float)], row.data(), width * sizeof(float));
        }
    }

private:
    std::shared_ptr<const HiddenCheckpoint> checkpoint_;
    std::size_t layer_;
    HiddenRole role_;
    std::vector<std::uint32_t> rows_;
    std::vector<double> factor_;
    std::string where_;
};

void dropWeights(Evidence& evidence) {
    std::erase_if(evidence.sites, [](const Site& site) { return site.weights; });
}

}  // namespace

bool addMatchedRows(const std::shared_ptr<const HiddenCheckpoint>& source,
                    const std::shared_ptr<const HiddenCheckpoint>& target, const HiddenGauge& hidden,
                    Evidence& sourceEvidence, Evidence& targetEvidence) {
    dropWeights(sourceEvidence), dropWeights(targetEvidence);
    bool added = false;
    for (std::size_t l = 0; l < hidden.shape().layers; ++l) {
        const HiddenLayer& layer = hidden.layers()[l];
        std::vector<std::uint32_t> places;
        for (std::size_t i = 0; i < layer.neuronScores.confidence.size(); ++i)
            if (layer.neuronScores.confidence[i] >= sureHidden) places.push_back(static_cast<std::uint32_t>(i));
        if (places.size() < fewestRows) continue;
        added = true;
        for (const HiddenRole role : {HiddenRole::gate, HiddenRole::up, HiddenRole::down}) {
            const UnitMap map = unitMap(hidden.shape(), layer, role);
            std::vector<std::uint32_t> from;
            std::vector<double> factor;
            for (const std::uint32_t i : places) {
                from.push_back(map.from[i]);
                factor.push_back(map.scale.empty() ? 1 : map.scale[i]);
            }
            const auto add = [&](Evidence& evidence, const std::shared_ptr<const HiddenCheckpoint>& checkpoint,
                                 std::vector<std::uint32_t> rows, std::vector<double> factors) {
                Site site;
                site.name = "hidden." + std::to_string(l) + "." + std::string(name(role));
                site.rows = std::make_shared<MatchedRows>(checkpoint, l, role, std::move(rows), std::move(factors));
                site.weights = true;
                evidence.sites.push_back(std::move(site));
            };
            add(sourceEvidence, source, std::move(from), std::move(factor));
            add(targetEvidence, target, places, std::vector<double>(places.size(), 1.0));
        }
    }
    return added;
}

}  // namespace regauge
