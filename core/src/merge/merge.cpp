#include "regauge/merge.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/float_blocks.hpp"
#include "base/short_list.hpp"
#include "io/bytes.hpp"
#include "io/json_text.hpp"
#include "merge/direction.hpp"
#include "merge/inputs.hpp"
#include "regauge/error.hpp"

namespace regauge {
namespace {

constexpr std::size_t blockBytes =
    64u << 10;  // of each input, read and averaged at a time, so that their doubles stay in the second-level cache
constexpr const char* recordKey = "regauge.merge";  // in safetensors metadata

using Place = MergeInput::Place;

// A tensor's blocks of at most blockBytes, in order.
template <class Visit>
void forEachBlock(std::uint64_t bytes, Visit visit) {
    for (std::uint64_t at = 0; at < bytes;) {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(blockBytes, bytes - at));
        visit(at, count);
        at += count;
    }
}

// The tensor of A, of moved B and, in the task-vector form, of moved BASE: block by block into `out`.
class Average {
public:
    Average(double weight, bool taskVector) : weight_(weight), taskVector_(taskVector) {}

    void write(const TensorInfo& info, const ByteSource& a, const ByteSource& b, const ByteSource* base,
               std::uint64_t bytes, ByteSink& out, const std::function<void(std::uint64_t)>& done) {
        const Dtype dtype = info.dtype;
        forEachBlock(bytes, [&](std::uint64_t at, std::size_t count) {
            read(a, at, count, dtype, a_);
            result_ = bytes_;  // what is equal stays as it is, to the byte
            read(b, at, count, dtype, b_);
            const bool same = !taskVector_ && bytes_ == result_;
            if (base) read(*base, at, count, dtype, base_);
            if (!same) {
                combine();
                requireHeld(dtype, info.name);
                storeDoubles(a_, dtype, result_);
            }
            out.write(result_);
            done(count);
        });
    }

private:
    void read(const ByteSource& source, std::uint64_t at, std::size_t count, Dtype dtype, std::vector<double>& values) {
        bytes_.resize(count);
        source.read(at, bytes_);
        values.resize(count / byteSize(dtype));
        loadDoubles(bytes_, dtype, values);
    }

    // Into a_. Equal numbers give themselves, whatever the weight; a weight of 1 gives B itself.
    void combine() {
        const double w = weight_, rest = 1 - w;
        double* const a = a_.data();  // plain pointers: the loops are vectorised
        const double* const b = b_.data();
        const double* const base = base_.data();
        const std::size_t count = a_.size();
        if (taskVector_)
            for (std::size_t i = 0; i < count; ++i) a[i] = b[i] == base[i] ? a[i] : a[i] + w * (b[i] - base[i]);
        else if (w == 1)
            for (std::size_t i = 0; i < count; ++i) a[i] = a[i] == b[i] ? a[i] : b[i];
        else
            for (std::size_t i = 0; i < count; ++i) a[i] = a[i] == b[i] ? a[i] : rest * a[i] + w * b[i];
    }

    // Finite weights stay finite. Throws Error(usage).
    void requireHeld(Dtype dtype, const std::string& where) {
        const double largest = largestOf(dtype);
        const auto beyond = [largest](double value) { return !(std::fabs(value) <= largest); };
        if (std::ranges::none_of(a_, beyond)) return;
        std::vector<double> before(a_.size());
        loadDoubles(result_, dtype, before);  // what a_ was
        for (std::size_t i = 0; i < a_.size(); ++i)
            if (beyond(a_[i]) && std::isfinite(before[i]) && std::isfinite(b_[i]) &&
                (!taskVector_ || std::isfinite(base_[i])))
                throw Error(ErrorCode::usage, where,
                            "would have a weight beyond what " + std::string(name(dtype)) +
                                " holds; take a --weight nearer to 0");
    }

    double weight_;
    bool taskVector_;
    std::vector<std::byte> bytes_, result_;
    std::vector<double> a_, b_, base_;
};

bool equalBytes(const ByteSource& a, const ByteSource& b) {
    std::vector<std::byte> left, right;
    bool equal = a.size() == b.size();
    forEachBlock(equal ? a.size() : 0, [&](std::uint64_t at, std::size_t count) {
        if (!equal) return;
        left.resize(count), right.resize(count);
        a.read(at, left), b.read(at, right);
        equal = left == right;
    });
    return equal;
}

class Merge {
public:
    Merge(Files& files, const std::string& a, const std::string& b, const Alignment& gauge, const MergeOptions& options)
        : files_(files),
          options_(options),
          a_(openMergeInput(files, a, std::nullopt, gauge.gauge.d(), false)),
          b_(openMergeInput(files, b, gauge, gauge.gauge.d(), options.force)),
          pairB_(pairTensors(a_, b_)) {
        report_.kind = a_.planned.plan.kind;
        report_.taskVector = !options.base.empty();
        report_.weight = options.weight;
        report_.d = gauge.gauge.d();
        report_.gauge = gauge.gauge.fingerprint();
        if (!report_.taskVector) return;
        base_ = openMergeInput(files, options.base, options.baseGauge, gauge.gauge.d(), options.force);
        pairBase_ = pairTensors(a_, *base_);
    }

    MergeReport run(const std::string& out, const Progress& progress) {
        sortTensors();
        progress_ = &progress;
        progress.report("merging tensors", 0, report_.bytes);
        const ObjectPath path(files_, a_.path);
        const std::unique_ptr<Output> output = files_.create(out, path.isFolder(), options_.force);
        std::size_t first = 0;  // of the member's tensors in a_.places
        for (const Member& member : a_.planned.files.members) {
            rewriteTensorFile(
                member.file, recordFor(member),
                [&](std::size_t index, const ByteSource& in, ByteSink& to) { writeTensor(first + index, in, to); },
                output->file(member.name));
            first += member.file.tensors.size();
        }
        for (const std::string& name : a_.planned.files.copies) {
            const std::unique_ptr<ByteSource> companion = path.open(name);
            copyBytes(*companion, 0, companion->size(), output->file(name));
        }
        output->commit();
        return report_;
    }

private:
    // Which tensors are averaged; those that cannot be must be equal everywhere. Nothing is written before that is
    // known.
    void sortTensors() {
        std::vector<std::string> unequal;
        for (std::size_t i = 0; i < a_.places.size(); ++i) {
            const TensorInfo& info = a_.info(a_.places[i]);
            report_.bytes += info.bytes;
            std::uint64_t rows = info.shape.empty() ? 0 : info.shape[0], longest = rows;
            for (const TensorInfo* other : {&b_.info(pairB_[i]), base_ ? &base_->info(pairBase_[i]) : nullptr})
                if (other != nullptr && other->shape != info.shape)
                    rows = std::min(rows, other->shape[0]), longest = std::max(longest, other->shape[0]);
            if (rows != longest) report_.sharedRows = rows;
            const bool averages = isArithmetic(info.dtype) && !a_.unknown(a_.places[i]) && !b_.unknown(pairB_[i]);
            averaged_.push_back(averages);
            ++(averages ? report_.averaged : report_.equal);
            if (averages) continue;
            const auto mine = a_.bytes(a_.places[i], buffers_);
            if (!equalBytes(*mine, *b_.bytes(pairB_[i], buffers_)) ||
                (base_ && !equalBytes(*mine, *base_->bytes(pairBase_[i], buffers_))))
                unequal.push_back(info.name);
        }
        if (!unequal.empty())
            throw Error(ErrorCode::unknownTensor, b_.path,
                        "and " + a_.path +
                            " differ in tensors that are not floats, or that no recipe names, which have no average: " +
                            shortList(unequal));
    }

    void writeTensor(std::size_t i, const ByteSource& in, ByteSink& to) {
        const auto done = [&](std::uint64_t bytes) {
            progress_->report("merging tensors", done_ += bytes, report_.bytes);
        };
        if (!averaged_[i] || options_.weight == 0) {
            copyBytes(in, 0, in.size(), to);
            return done(in.size());
        }
        const std::shared_ptr<const ByteSource> b = b_.bytes(pairB_[i], buffers_),
                                                base = base_ ? base_->bytes(pairBase_[i], buffers_) : nullptr;
        // Of a vocabulary that is longer on one side the shared rows are averaged; A's others stay, and those of the
        // others are left out.
        const std::uint64_t shared = std::min({in.size(), b->size(), base ? base->size() : UINT64_MAX});
        Average(options_.weight, report_.taskVector).write(a_.info(a_.places[i]), in, *b, base.get(), shared, to, done);
        copyBytes(in, shared, in.size() - shared, to);
        if (shared < in.size()) done(in.size() - shared);
    }

    // What was merged, in A's metadata; nothing where the format has no room, or where the weight leaves A as it is.
    std::vector<std::pair<std::string, std::string>> recordFor(const Member& member) const {
        if (options_.weight == 0 || member.file.format != FileFormat::safetensors) return {};
        if (member.file.metadata.empty() && !a_.planned.recipe->metadata) return {};
        nlohmann::ordered_json record{{"form", report_.taskVector ? "task-vector" : "linear"},
                                      {"weight", report_.weight},
                                      {"a", a_.path},
                                      {"b", b_.path},
                                      {"gauge", report_.gauge}};
        if (base_) record["base"] = base_->path;
        if (base_ && base_->gauge) record["base_gauge"] = base_->gauge->fingerprint();
        return {{recordKey, jsonText(record)}};
    }

    Files& files_;
    const MergeOptions& options_;
    MoveBuffers buffers_;
    MergeInput a_, b_;
    std::vector<Place> pairB_, pairBase_;
    std::optional<MergeInput> base_;
    std::vector<bool> averaged_;
    MergeReport report_;
    const Progress* progress_ = nullptr;
    std::uint64_t done_ = 0;
};

}  // namespace

MergeReport merge(Files& files, const std::string& a, const std::string& b, const Alignment& gauge,
                  const std::string& out, const MergeOptions& options, const Progress& progress) {
    if (!std::isfinite(options.weight)) throw Error(ErrorCode::usage, "", "the weight must be a finite number");
    if (options.baseGauge && options.base.empty())
        throw Error(ErrorCode::usage, "", "a gauge of the base needs the base itself: --base");
    for (const std::string& input : {a, b, options.base})
        if (!input.empty() && ObjectPath::sameName(input, out))
            throw Error(ErrorCode::usage, out,
                        "is one of the inputs, which are never overwritten; name another output");
    checkDirection(gauge, b, a);
    if (options.baseGauge) checkDirection(*options.baseGauge, options.base, a);
    return Merge(files, a, b, gauge, options).run(out, progress);
}

}  // namespace regauge
