#include "hidden/similarity.hpp"

#include <cmath>
#include <complex>

#include "numeric/linalg.hpp"

namespace regauge {
namespace {

// The rows with length 1; of zeros, as they are.
HiddenRows normalised(const HiddenRows& rows) {
    HiddenRows result = rows;
    for (std::size_t i = 0; i < rows.rows; ++i) {
        float* row = &result.value[i * rows.width];
        double sum = 0;
        for (std::size_t k = 0; k < rows.width; ++k) sum += static_cast<double>(row[k]) * row[k];
        const double scale = sum > 0 ? 1 / std::sqrt(sum) : 0;
        for (std::size_t k = 0; k < rows.width; ++k) row[k] = static_cast<float>(row[k] * scale);
    }
    return result;
}

std::vector<float> cosines(const HiddenRows& target, const HiddenRows& source, unsigned threads) {
    return rowProducts(normalised(target), 0, target.rows, normalised(source), 0, source.rows, threads);
}

// Heads [first, first + count) of one role.
struct Heads {
    std::size_t first = 0, count = 0;
};

// Products of the rows of some heads of one role of two models, read head by head, counted from the first.
class HeadProducts {
public:
    HeadProducts(const HiddenRows& target, const HiddenRows& source, const Heads& heads, std::size_t headDim,
                 unsigned threads)
        : n_(headDim),
          stride_(heads.count * headDim),
          value_(rowProducts(target, heads.first * headDim, stride_, source, heads.first * headDim, stride_, threads)) {
    }

    // Of channel i of the target's head t and channel j of the source's head s.
    double at(std::size_t t, std::size_t i, std::size_t s, std::size_t j) const {
        return value_[(t * n_ + i) * stride_ + s * n_ + j];
    }
    // <source, target> of a plane as complex vectors a + i b, channels (k, k + pairs).
    std::complex<double> plane(std::size_t t, std::size_t s, std::size_t k, std::size_t pairs) const {
        return {at(t, k, s, k) + at(t, k + pairs, s, k + pairs), at(t, k + pairs, s, k) - at(t, k, s, k + pairs)};
    }

private:
    std::size_t n_, stride_;
    std::vector<float> value_;
};

// Inner products of what two heads compute: tr((a_t^T b_t)^T (a_s^T b_s)) over channels [first, last) = the sum of all
// entries of (a_t a_s^T) o (b_t b_s^T).
double productOfMatrices(const HeadProducts& a, const HeadProducts& b, std::size_t ta, std::size_t sa, std::size_t tb,
                         std::size_t sb, std::size_t first, std::size_t last) {
    double sum = 0;
    for (std::size_t i = first; i < last; ++i)
        for (std::size_t j = first; j < last; ++j) sum += a.at(ta, i, sa, j) * b.at(tb, i, sb, j);
    return sum;
}

// The two inner products of a pair of query heads with their key-value heads.
struct HeadPair {
    double queryKey = 0, valueOutput = 0;
};

class HeadComparison {
public:
    // Of some query heads, and of the key-value heads that they read.
    HeadComparison(const HiddenShape& shape, const LayerRows& source, const LayerRows& target, const Heads& heads,
                   const Heads& kvHeads, unsigned threads)
        : shape_(shape),
          query_(target[HiddenRole::query], source[HiddenRole::query], heads, shape.headDim, threads),
          key_(target[HiddenRole::key], source[HiddenRole::key], kvHeads, shape.headDim, threads),
          value_(target[HiddenRole::value], source[HiddenRole::value], kvHeads, shape.headDim, threads),
          output_(target[HiddenRole::output], source[HiddenRole::output], heads, shape.headDim, threads) {}

    // Heads counted from the first ones.
    HeadPair operator()(std::size_t target, std::size_t source) const {
        const std::size_t gt = target / shape_.perGroup(), gs = source / shape_.perGroup();
        HeadPair pair;
        for (std::size_t k = 0; k < shape_.pairs; ++k)
            pair.queryKey +=
                (std::conj(query_.plane(target, source, k, shape_.pairs)) * key_.plane(gt, gs, k, shape_.pairs)).real();
        pair.queryKey += productOfMatrices(query_, key_, target, source, gt, gs, 2 * shape_.pairs, shape_.headDim);
        pair.valueOutput = productOfMatrices(output_, value_, target, source, gt, gs, 0, shape_.headDim);
        return pair;
    }

private:
    HiddenShape shape_;
    HeadProducts query_, key_, value_, output_;
};

// Of every head with itself.
std::vector<HeadPair> squares(const HiddenShape& shape, const LayerRows& rows, unsigned threads) {
    std::vector<HeadPair> all;
    for (std::size_t h = 0; h < shape.heads; ++h) {
        const HeadComparison own(shape, rows, rows, {h, 1}, {h / shape.perGroup(), 1}, threads);
        all.push_back(own(0, 0));
    }
    return all;
}

float cosine(double product, double a, double b) {
    return a > 0 && b > 0 ? static_cast<float>(product / (std::sqrt(a) * std::sqrt(b))) : 0.0F;
}

}  // namespace

LayerRows layerRows(const HiddenCheckpoint& checkpoint, std::size_t layer, const Gauge* gauge) {
    LayerRows rows;
    for (const HiddenRole role : hiddenRoles)
        rows.of[static_cast<std::size_t>(role)] = checkpoint.rows(role, layer, gauge);
    return rows;
}

std::vector<float> rowProducts(const HiddenRows& a, std::size_t aFirst, std::size_t n, const HiddenRows& b,
                               std::size_t bFirst, std::size_t m, unsigned threads) {
    const std::size_t width = a.width;
    std::vector<float> turned(width * m), result(n * m, 0.0F);
    for (std::size_t j = 0; j < m; ++j)
        for (std::size_t k = 0; k < width; ++k) turned[k * m + j] = b.value[(bFirst + j) * width + k];
    multiply(&a.value[aFirst * width], turned.data(), result.data(), n, m, width, threads);
    return result;
}

NeuronScores neuronScores(const LayerRows& source, const LayerRows& target, unsigned threads) {
    const auto of = [&](HiddenRole role) { return cosines(target[role], source[role], threads); };
    NeuronScores result;
    UnitScores& scores = result.scores;
    scores.n = target[HiddenRole::gate].rows;
    scores.first = of(HiddenRole::gate);
    scores.second = of(HiddenRole::up);
    const std::vector<float> down = of(HiddenRole::down);
    result.sign.resize(scores.second.size());
    for (std::size_t k = 0; k < scores.second.size(); ++k) {
        const float both = scores.second[k] + down[k];
        result.sign[k] = both < 0 ? -1 : 1;
        scores.second[k] = std::fabs(both);
    }
    return result;
}

UnitScores headScores(const HiddenShape& shape, const LayerRows& source, const LayerRows& target, unsigned threads) {
    const HeadComparison compare(shape, source, target, {0, shape.heads}, {0, shape.kvHeads}, threads);
    const std::vector<HeadPair> ofSource = squares(shape, source, threads), ofTarget = squares(shape, target, threads);
    UnitScores scores;
    scores.n = shape.heads;
    for (std::size_t t = 0; t < shape.heads; ++t)
        for (std::size_t s = 0; s < shape.heads; ++s) {
            const HeadPair pair = compare(t, s);
            scores.first.push_back(cosine(pair.queryKey, ofTarget[t].queryKey, ofSource[s].queryKey));
            scores.second.push_back(cosine(pair.valueOutput, ofTarget[t].valueOutput, ofSource[s].valueOutput));
        }
    return scores;
}

}  // namespace regauge
