#include "claims/claims.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>

#include "base/float_blocks.hpp"
#include "io/bytes.hpp"
#include "regauge/error.hpp"
#include "transport/channel_list.hpp"
#include "transport/move_tensor.hpp"
#include "transport/planned_object.hpp"

namespace regauge {
namespace {

constexpr std::uint64_t mostValues = 8u << 20;

std::int8_t signOf(double value) { return value > 0 ? std::int8_t{1} : value < 0 ? std::int8_t{-1} : std::int8_t{0}; }

// Rows of vectors, held as they are stored.
class VectorClaims final : public Claims {
public:
    VectorClaims(PlannedObject planned, const std::string& object)
        : description_(planned.plan.description), d_(planned.plan.d) {
        if (!planned.plan.unknown.empty())
            throw Error(ErrorCode::unknownTensor, object,
                        "has tensors that no recipe names (" + planned.plan.unknown.front() + "); give --kind");
        std::size_t move = 0;
        std::uint64_t values = 0;
        for (const Member& member : planned.files.members)
            for (std::size_t t = 0; t < member.file.tensors.size(); ++t, ++move) {
                const StoredTensor& stored = member.file.tensors[t];
                const std::vector<AxisMove>& moves = planned.plan.moves[move].moves;
                const std::string where = placeOf(member.file.source->name(), stored.info.name);
                if (std::none_of(moves.begin(), moves.end(),
                                 [](const AxisMove& axis) { return axis.action == Action::odd; }))
                    continue;
                if (moves.size() != 1 || moves[0].axis + 1 != stored.info.shape.size())
                    throw Error(ErrorCode::unsupported, where,
                                "is " + planned.plan.description +
                                    "; audit takes vectors, rows of vectors and lists of channels");
                if (!isArithmetic(stored.info.dtype))
                    throw Error(
                        ErrorCode::wrongDtype, where,
                        "holds " + std::string(name(stored.info.dtype)) + "; audit reads F16, BF16, F32 and F64");
                if (stored.fortranOrder || stored.bigEndian)
                    throw Error(ErrorCode::unsupported, where,
                                "is stored column-major or big-endian; save it row-major and little-endian first");
                values += stored.info.bytes / byteSize(stored.info.dtype);
                if (values > mostValues)
                    throw Error(ErrorCode::tooLarge, object,
                                "holds more than " + std::to_string(mostValues) +
                                    " values; audit a part of it, a claim is a few vectors");
                tensors_.push_back(
                    {stored, moves, readBytes(*tensorBytes(member.file, t), 0, stored.info.bytes), where});
            }
        if (values == 0) throw Error(ErrorCode::unsupported, object, "has no vector in residual coordinates");
    }

    std::size_t d() const override { return d_; }
    std::string description() const override { return description_; }
    std::vector<Claim> stated() const override {
        std::vector<Claim> claims;
        for (const Tensor& tensor : tensors_) add(tensor, tensor.bytes, claims);
        return claims;
    }
    std::vector<Claim> moved(const Gauge& gauge) const override {
        std::vector<Claim> claims;
        MoveBuffers buffers;
        for (const Tensor& tensor : tensors_) {
            MemorySink sink;
            moveTensor(gauge, tensor.stored, tensor.moves, MemorySource(tensor.where, tensor.bytes), sink, buffers,
                       [](std::uint64_t) {});
            add(tensor, sink.bytes(), claims);
        }
        return claims;
    }

private:
    struct Tensor {
        StoredTensor stored;
        std::vector<AxisMove> moves;
        std::vector<std::byte> bytes;
        std::string where;
    };

    void add(const Tensor& tensor, const std::vector<std::byte>& bytes, std::vector<Claim>& claims) const {
        std::vector<double> values(bytes.size() / byteSize(tensor.stored.info.dtype));
        loadDoubles(bytes, tensor.stored.info.dtype, values);
        for (std::size_t at = 0; at < values.size(); at += d_) {
            Claim claim{std::vector<double>(d_), std::vector<std::int8_t>(d_)};
            for (std::size_t i = 0; i < d_; ++i) {
                const double value = values[at + i];
                if (!std::isfinite(value))
                    throw Error(ErrorCode::notFinite, tensor.where,
                                "has " + std::string(std::isnan(value) ? "NaN" : "infinity") + " in row " +
                                    std::to_string(at / d_) + ", channel " + std::to_string(i));
                claim.magnitude[i] = std::fabs(value);
                claim.sign[i] = signOf(value);
            }
            claims.push_back(std::move(claim));
        }
    }

    std::string description_;
    std::size_t d_;
    std::vector<Tensor> tensors_;
};

// A number, or a word of polarity; nothing of anything else.
std::optional<double> valueIn(std::string_view text, bool& isWord) {
    static constexpr std::array<std::pair<std::string_view, double>, 6> words{
        {{"+", 1}, {"-", -1}, {"positive", 1}, {"negative", -1}, {"pos", 1}, {"neg", -1}}};
    for (const auto& [word, value] : words)
        if (text == word) return isWord = true, value;
    const std::string number(text);  // not from_chars: libc++ has none for doubles yet
    char* end = nullptr;
    const double value = std::strtod(number.c_str(), &end);
    return !number.empty() && end == number.c_str() + number.size() && std::isfinite(value) ? std::optional(value)
                                                                                            : std::nullopt;
}

Claim claimOf(const ChannelList& list, std::size_t d, const std::string& where) {
    struct Said {
        std::optional<double> amount;  // a signed value, or an attribution
        std::int8_t sign = 0;
        std::size_t place = 0;  // in the list, from 0
    };
    std::map<std::size_t, Said> said;  // entry -> what is said of it
    const auto textOf = [&](std::size_t begin, std::size_t end) {
        return std::string_view(list.text).substr(begin, end - begin);
    };
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < list.entries.size(); ++i)
        if (list.entries[i].isIndex) order.push_back(i);
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return list.entries[a].begin < list.entries[b].begin; });
    for (std::size_t place = 0; place < order.size(); ++place) said[order[place]].place = place;

    bool haveAmounts = false;
    for (const ChannelList::Entry& entry : list.entries) {
        if (entry.isIndex) continue;
        bool isWord = false;
        const auto value = valueIn(textOf(entry.begin, entry.end), isWord);
        Said& to = said[entry.channel];
        if (!value) continue;
        if (to.sign == 0) to.sign = signOf(*value);
        if (!isWord && !to.amount) haveAmounts = true, to.amount = std::fabs(*value);
    }
    for (const ChannelList::Even& even : list.even) {
        bool isWord = false;
        const auto value = even.ranks ? valueIn(textOf(even.begin, even.end), isWord) : std::nullopt;
        Said& to = said[even.channel];
        if (value && !isWord && !to.amount) haveAmounts = true, to.amount = std::fabs(*value);
    }

    Claim claim{std::vector<double>(d), std::vector<std::int8_t>(d)};
    for (const auto& [entry, one] : said) {
        const std::string_view written = textOf(list.entries[entry].begin, list.entries[entry].end);
        std::uint64_t channel = 0;
        const auto [end, error] = std::from_chars(written.data(), written.data() + written.size(), channel);
        if (error != std::errc() || end != written.data() + written.size())
            throw Error(ErrorCode::malformed, where,
                        "has '" + std::string(written) + "' where a channel number is expected");
        if (channel >= d)
            throw Error(
                ErrorCode::dimensionMismatch, where,
                "names channel " + std::to_string(channel) + ", and d = " + std::to_string(d) + " (counted from 0)");
        // Without amounts the list's own order says what is important.
        const double amount = haveAmounts ? one.amount.value_or(0) : static_cast<double>(order.size() - one.place);
        const auto at = static_cast<std::size_t>(channel);
        if (amount <= claim.magnitude[at]) continue;
        claim.magnitude[at] = amount;
        claim.sign[at] = one.sign;
    }
    return claim;
}

// A list of channels, moved as text.
class ListClaims final : public Claims {
public:
    ListClaims(ChannelList list, std::size_t d, const std::string& object)
        : list_(std::move(list)), d_(d), object_(object) {
        if (d == 0)
            throw Error(
                ErrorCode::usage, object,
                "is a list of channels, which does not say how wide the residual stream is; give --d N, or a gauge");
        if (!list_.plan.unknown.empty())
            throw Error(
                ErrorCode::unknownTensor, object,
                "has values called '" + list_.plan.unknown.front() +
                    "', and whether they change sign with their channel is not known; rename or leave them out");
    }
    std::size_t d() const override { return d_; }
    std::string description() const override { return list_.plan.description; }
    std::vector<Claim> stated() const override { return {claimOf(list_, d_, object_)}; }
    std::vector<Claim> moved(const Gauge& gauge) const override {
        TransportOptions asList;
        asList.kind = list_.plan.kind;  // a list stays a list, also where it names every channel
        const auto moved = parseChannelList(movedList(list_, gauge, object_), asList, d_, object_);
        if (!moved) throw Error(ErrorCode::internal, object_, "is no list any more after it was moved");
        return {claimOf(*moved, d_, object_)};
    }

private:
    ChannelList list_;
    std::size_t d_;
    std::string object_;
};

}  // namespace

Claim truth(const Claim& claim, const Gauge& gauge) {
    const std::size_t d = gauge.d();
    Claim moved{std::vector<double>(d), std::vector<std::int8_t>(d)};
    for (std::size_t i = 0; i < d; ++i) {
        const std::uint32_t from = gauge.perm()[i];
        moved.magnitude[i] = claim.magnitude[from];
        moved.sign[i] = static_cast<std::int8_t>(gauge.sign()[i] * claim.sign[from]);
    }
    return moved;
}

std::unique_ptr<Claims> openClaims(const Files& files, const std::string& object,
                                   const std::optional<std::string>& kind, std::size_t d) {
    const ObjectPath path(files, object);
    TransportOptions options;
    options.kind = kind;
    if (auto list = openChannelList(path, options, d)) return std::make_unique<ListClaims>(std::move(*list), d, object);
    return openVectors(files, object, kind, d);
}

std::unique_ptr<Claims> openVectors(const Files& files, const std::string& object,
                                    const std::optional<std::string>& kind, std::size_t d) {
    TransportOptions options;
    options.kind = kind;
    return std::make_unique<VectorClaims>(planObject(ObjectPath(files, object), options, d), object);
}

}  // namespace regauge
