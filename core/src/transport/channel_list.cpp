#include "transport/channel_list.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "io/bytes.hpp"
#include "io/json_text.hpp"
#include "recipes/recipe_table.hpp"
#include "recipes/stream_roles.hpp"
#include "recipes/symmetry.hpp"
#include "regauge/error.hpp"
#include "transport/named_symmetry.hpp"

namespace regauge {
namespace {

constexpr int mostDepth = 64;  // of JSON in JSON; what lies deeper is no list
// What is looked at of one list, each taking 100 to 200 bytes meanwhile: numbers and words of JSON, of which longer
// files are vectors; and channels and values of a CSV (two million are each channel of 126 layers of 16384).
constexpr std::size_t mostScalars = std::size_t{1} << 21, mostEntries = std::size_t{1} << 22;

const Recipe& listRecipe() {
    return *std::find_if(recipes().begin(), recipes().end(), [](const Recipe& recipe) { return recipe.isList(); });
}

bool among(const std::vector<std::string>& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

std::string lowered(std::string_view key) {
    std::string lower(key);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return lower;
}

// Values that say how important a channel is; a rank, a count or a variance does not.
bool ranksBy(std::string_view key) {
    const std::string lower = lowered(key);
    return lower.starts_with("attribution") || lower.starts_with("abs") || lower.starts_with("magnitude") ||
           lower.starts_with("importance");
}

enum class Role { index, odd, even, about, unknown };
Role roleOf(std::string_view key) {
    const std::string lower = lowered(key);
    const Recipe::ListKeys& keys = listRecipe().list;
    return among(keys.index, lower)   ? Role::index
           : among(keys.odd, lower)   ? Role::odd
           : among(keys.even, lower)  ? Role::even
           : among(keys.about, lower) ? Role::about
                                      : Role::unknown;
}

bool isDigits(std::string_view key) {
    return !key.empty() && key.find_first_not_of("0123456789") == std::string_view::npos;
}

// Whether a key says where channels live: a hook, or a layer.
bool isHookKey(std::string_view key) {
    const std::string lower = lowered(key);
    return lower == "hook" || lower == "hook_name" || lower == "hook_point";
}
bool isLayerKey(std::string_view key) { return lowered(key) == "layer" || lowered(key) == "layers"; }

void addPlace(ChannelList& list, std::string_view key, std::string_view value) {
    if (!isHookKey(key) && !isLayerKey(key)) return;
    list.places.emplace(isHookKey(key) ? "hook" : "layer", value);
}

// "3" of "blocks.3.mlp.hook_post".
std::string layerOf(const std::string& hook) {
    const std::string own = ownName(hook);
    const std::size_t dot = std::min(own.find('.'), own.size() - 1);
    return own.substr(dot + 1, own.find('.', dot + 1) - dot - 1);
}

bool isPolarKey(std::string_view key) {
    return key.find("positive") != std::string_view::npos || key.find("negative") != std::string_view::npos;
}

std::optional<std::uint64_t> channelIn(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool canonical = text == "0" || (!text.empty() && text[0] != '0');
    return error == std::errc() && end == text.data() + text.size() && canonical ? std::optional(value) : std::nullopt;
}

// No role's key is longer; what is, is cut, as every value of its list is looked at with it.
constexpr std::size_t longestKey = 256;

// A scalar of a JSON text and where it stands: keys, and "[]" with its place for lists.
struct Scalar {
    std::size_t begin = 0, end = 0;  // without quotes
    std::string_view key;            // the nearest object key, in the text
    std::size_t object = 0;  // number of the object or list that holds it: parallel lists share that of their parent
    std::size_t at = 0;      // place in its list
    bool inList = false;
    bool polar = false;  // below a key that says "positive" or "negative"
};

// Reads valid JSON once, left to right, without recursion. Nothing where it holds more than mostScalars.
std::optional<std::vector<Scalar>> scalarsOf(std::string_view text) {
    struct Level {
        bool list = false;
        std::string_view key;
        std::size_t object = 0, count = 0;
        bool polar = false;  // as the keys around it say
    };
    std::vector<Scalar> scalars;
    std::vector<Level> levels;
    const auto isPolar = [&] { return !levels.empty() && (levels.back().polar || isPolarKey(levels.back().key)); };
    std::string_view key;
    std::size_t serial = 0;  // 0: none
    for (std::size_t at = byteOrderMark(text); at < text.size();) {
        const char c = text[at];
        if (c == '{' || c == '[') {
            // A list belongs to its object: its values run parallel to those of the object's other lists.
            const bool list = c == '[';
            const bool parallel = list && !levels.empty() && !levels.back().list;
            levels.push_back({list, key, parallel ? levels.back().object : ++serial, 0, isPolar()});
            ++at;
        } else if (c == '}' || c == ']') {
            levels.pop_back();
            ++at;
            if (!levels.empty()) key = levels.back().key;
        } else if (c == ',' || c == ':' || c == ' ' || c == '\n' || c == '\r' || c == '\t') {
            if (c == ',' && !levels.empty()) ++levels.back().count;
            ++at;
        } else {
            const bool quoted = c == '"';
            std::size_t end = at + 1;
            if (quoted)
                for (; text[end] != '"'; ++end) end += text[end] == '\\' ? 1 : 0;
            else
                end = std::min(text.find_first_of(",]} \n\r\t", at), text.size());
            const std::size_t begin = quoted ? at + 1 : at, after = quoted ? end + 1 : end;
            const std::size_t next = std::min(text.find_first_not_of(" \n\r\t", after), text.size());
            if (quoted && !levels.empty() && !levels.back().list && next < text.size() && text[next] == ':') {
                key = text.substr(begin, std::min(end - begin, longestKey));
                levels.back().key = key;
            } else {
                const bool inList = !levels.empty() && levels.back().list;
                if (scalars.size() == mostScalars) return std::nullopt;
                scalars.push_back({begin, end, levels.empty() ? std::string_view() : levels.back().key,
                                   levels.empty() ? 0 : levels.back().object, levels.empty() ? 0 : levels.back().count,
                                   inList, isPolar()});
            }
            at = after;
        }
    }
    return scalars;
}

bool isNumber(std::string_view text) {
    return !text.empty() && (text[0] == '-' || text[0] == '+' || (text[0] >= '0' && text[0] <= '9'));
}

// One line of the plan for each key or column.
class Summary {
public:
    void add(std::string_view key, Role role, std::size_t count = 1) {
        auto found = counts_.find(key);
        if (found == counts_.end()) found = counts_.emplace(key, std::pair(role, std::size_t{0})).first;
        found->second.first = role;
        found->second.second += count;
    }
    Plan plan(const std::string& description) const {
        Plan plan;
        plan.kind = listRecipe().kind;
        plan.description = description;
        for (const auto& [key, entry] : counts_) {
            const auto& [role, count] = entry;
            if (role == Role::about) continue;
            TensorMove move;
            move.tensor.name = key;
            move.tensor.dtype = role == Role::index ? Dtype::I64 : Dtype::F64;
            move.tensor.shape = {count};
            if (role == Role::index) move.moves = {{Action::index, 0}};
            if (role == Role::odd) move.moves = {{Action::odd, 0}};
            move.why = role == Role::index  ? "channel numbers"
                       : role == Role::odd  ? "values that change sign with their channel"
                       : role == Role::even ? "values that do not change sign; each stays with its channel"
                                            : "may change sign with its channel, or not";
            if (role == Role::unknown) plan.unknown.push_back(key);
            plan.moves.push_back(std::move(move));
        }
        return plan;
    }

private:
    std::map<std::string, std::pair<Role, std::size_t>, std::less<>> counts_;
};

// bare: a list of numbers without keys. layers: keys of digits name layers, whose lists are channel numbers.
std::optional<ChannelList> jsonList(std::string text, bool bare, bool layers) {
    ChannelList list;
    list.text = std::move(text);
    Summary summary;
    std::map<std::pair<std::size_t, std::size_t>, std::size_t> channels;  // (object, place) -> entry
    std::set<std::size_t> ofOneSign;  // objects of which one value says the sign of all their channels
    const auto scalars = scalarsOf(list.text);
    if (!scalars) return std::nullopt;
    const auto roleOfScalar = [&](const Scalar& scalar) {
        if (bare || (layers && isDigits(scalar.key))) return Role::index;  // bare numbers, or {"12": [..]}
        return roleOf(scalar.key);
    };
    for (const bool indices : {true, false})
        for (const Scalar& scalar : *scalars) {
            const Role role = roleOfScalar(scalar);
            const std::string_view value = std::string_view(list.text).substr(scalar.begin, scalar.end - scalar.begin);
            const std::pair place(scalar.object, scalar.inList ? scalar.at : 0);
            if (indices) {
                addPlace(list, scalar.key, value);
                if (layers && isDigits(scalar.key)) addPlace(list, "layer", scalar.key);
                if (role != Role::about && (role != Role::unknown || isNumber(value)))
                    summary.add(scalar.key.empty() ? std::string_view("channels") : scalar.key, role);
                if (role != Role::index) continue;
                channels[place] = list.entries.size();
                list.entries.push_back({scalar.begin, scalar.end, true, 0, scalar.polar});
            } else if (role == Role::odd) {
                const auto channel = channels.find(place);
                if (channels.empty()) continue;  // not a list at all
                if (channel == channels.end())
                    throw Error(ErrorCode::malformed, "",
                                "'" + std::string(scalar.key) + "' has a value that belongs to no channel");
                if (!scalar.inList && channels.contains({scalar.object, 1})) {
                    ofOneSign.insert(scalar.object);
                    continue;
                }
                list.entries.push_back({scalar.begin, scalar.end, false, channel->second, false});
            } else if (role == Role::even) {
                if (const auto channel = channels.find(place); channel != channels.end())
                    list.even.push_back({scalar.begin, scalar.end, ranksBy(scalar.key), channel->second});
            }
        }
    for (const auto& [place, entry] : channels)
        if (ofOneSign.contains(place.first)) list.entries[entry].polar = true;
    list.plan = summary.plan("list of " + std::to_string(channels.size()) + " channels, JSON");
    return list;
}

// Fields of one CSV line, as positions. Quoted fields are passed over whole, without their quotes.
std::vector<std::pair<std::size_t, std::size_t>> fieldsOf(std::string_view text, std::size_t begin, std::size_t end,
                                                          char separator) {
    text = text.substr(0, end);  // a line without separators is not searched to the end of the file
    std::vector<std::pair<std::size_t, std::size_t>> fields;
    for (std::size_t at = begin; at <= end;) {
        if (at < end && text[at] == '"') {
            std::size_t close = at + 1;
            while (close < end && (text[close] != '"' || (close + 1 < end && text[close + 1] == '"')))
                close += text[close] == '"' ? 2 : 1;
            fields.emplace_back(at + 1, std::min(close, end));
            at = std::min(text.find(separator, std::min(close, end)), end) + 1;
        } else {
            const std::size_t stop = std::min(text.find(separator, at), end);
            fields.emplace_back(at, stop);
            at = stop + 1;
        }
    }
    return fields;
}

std::optional<ChannelList> csvList(std::string text, const std::string& where) {
    ChannelList list;
    list.text = std::move(text);
    const std::string_view view = list.text;
    std::vector<std::string> header;
    std::vector<Role> roles;
    std::vector<std::pair<std::string, std::string>> about;  // what the first row says under each header
    std::vector<bool> ranks;
    std::size_t indexColumn = 0, rows = 0;
    char separator = ',';
    for (std::size_t begin = byteOrderMark(view); begin < view.size();) {
        std::size_t end = std::min(view.find('\n', begin), view.size());
        const std::size_t next = end + 1;
        if (end > begin && view[end - 1] == '\r') --end;
        if (header.empty() && view.substr(begin, end - begin).find('\t') != std::string_view::npos) separator = '\t';
        const auto fields = fieldsOf(view, begin, end, separator);
        if (header.empty()) {
            for (const auto& [from, to] : fields) {
                header.emplace_back(view.substr(from, to - from));
                roles.push_back(roleOf(header.back()));
                ranks.push_back(ranksBy(header.back()));
            }
            if (std::count(roles.begin(), roles.end(), Role::index) != 1) return std::nullopt;
            indexColumn = static_cast<std::size_t>(std::find(roles.begin(), roles.end(), Role::index) - roles.begin());
        } else if (end > begin) {
            ++rows;
            if (fields.size() != header.size())
                throw Error(ErrorCode::malformed, where,
                            "row " + std::to_string(rows) + " has " + std::to_string(fields.size()) +
                                " fields where the header has " + std::to_string(header.size()));
            for (std::size_t k = 0; k < fields.size(); ++k)
                addPlace(list, header[k], view.substr(fields[k].first, fields[k].second - fields[k].first));
            for (std::size_t k = 0; rows == 1 && k < fields.size(); ++k)
                about.emplace_back(header[k], view.substr(fields[k].first, fields[k].second - fields[k].first));
            const std::size_t channel = list.entries.size();
            if (channel >= mostEntries)
                throw Error(ErrorCode::tooLarge, where,
                            "lists more than " + std::to_string(mostEntries) +
                                " channels and values; split it into several files");
            list.entries.push_back(
                {fields[indexColumn].first, fields[indexColumn].second, true, 0, isPolarKey(header[indexColumn])});
            for (std::size_t k = 0; k < fields.size(); ++k) {
                if (roles[k] == Role::odd)
                    list.entries.push_back({fields[k].first, fields[k].second, false, channel, false});
                if (roles[k] == Role::even) list.even.push_back({fields[k].first, fields[k].second, ranks[k], channel});
            }
        }
        begin = next;
    }
    if (header.empty()) return std::nullopt;
    list.about = Config::of(about);
    Summary summary;
    for (std::size_t k = 0; rows > 0 && k < header.size(); ++k) summary.add(header[k], roles[k], rows);
    list.plan = summary.plan("list of " + std::to_string(rows) + " channels, CSV");
    return list;
}

bool areDistinctChannels(const nlohmann::json& array) {
    constexpr std::size_t most = std::size_t{1} << 20;  // no residual stream is wider
    if (array.size() > most) return false;
    std::set<std::uint64_t> seen;
    for (const nlohmann::json& one : array)
        if (!one.is_number_unsigned() || !seen.insert(one.get<std::uint64_t>()).second) return false;
    return !seen.empty();
}

constexpr const char* listOrVector =
    "could be a vector or a list of channels, as it has d distinct whole numbers; say --kind vector or --kind neurons";

// Whether the lists under keys of digits, {"12": [3, 17]}, can all be channel numbers. Fractions, negative numbers and
// repeats are those of a vector.
bool digitsNameLists(const nlohmann::json& json, std::size_t d, const std::string& where, int depth) {
    if (depth > mostDepth || !json.is_structured()) return true;
    for (const auto& [key, value] : json.items()) {
        if (json.is_object() && isDigits(key) && !value.is_object()) {
            const nlohmann::json list = value.is_array() ? value : nlohmann::json::array({value});
            if (!list.empty() && !areDistinctChannels(list)) return false;
            if (d != 0 && list.size() == d) throw Error(ErrorCode::ambiguous, where + ": " + key, listOrVector);
        } else if (!digitsNameLists(value, d, where, depth + 1)) {
            return false;
        }
    }
    return true;
}

// Whether any key says that what is under it are channel numbers; layers: keys of digits say so, too.
bool namesChannels(const nlohmann::json& json, bool layers) {
    if (json.is_array())
        return std::any_of(json.begin(), json.end(), [&](const auto& one) { return namesChannels(one, layers); });
    if (!json.is_object()) return false;
    for (const auto& [key, value] : json.items())
        if (roleOf(key) == Role::index || (layers && isDigits(key) && !value.is_object()) ||
            namesChannels(value, layers))
            return true;
    return false;
}

// Bare numbers in a JSON array: channel numbers where they are distinct and whole, unless they could as well be a
// vector of width d.
bool bareNumbersAreChannels(const nlohmann::json& array, const TransportOptions& options, std::size_t d,
                            const std::string& where) {
    if (options.kind) return true;
    if (!areDistinctChannels(array)) return false;
    if (d != 0 && array.size() == d) throw Error(ErrorCode::ambiguous, where, listOrVector);
    return true;
}

// A value with its sign turned, in the form in which it is written: -x and x, or the words of a polarity.
std::string negated(std::string_view value, const std::string& where) {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 3> words{
        {{"+", "-"}, {"positive", "negative"}, {"pos", "neg"}}};
    for (const auto& [plus, minus] : words) {
        if (value == plus) return std::string(minus);
        if (value == minus) return std::string(plus);
    }
    if (value.empty() || value == "null") return std::string(value);
    if (!isNumber(value) || value[0] == '+')
        throw Error(
            ErrorCode::malformed, where,
            "holds '" + std::string(value) + "' where a signed value is expected: a number without '+', or + and -");
    return value[0] == '-' ? std::string(value.substr(1)) : "-" + std::string(value);
}

Error undetermined(const std::string& where) {
    return Error(ErrorCode::undeterminedSign, where,
                 "needs the sign of a channel that the gauge leaves undetermined; align with activations or embedding "
                 "rows, not gains alone");
}

// A file's text; nothing where it is none, or more than lists are read of.
std::optional<std::string> textOf(const ObjectPath& object) {
    if (object.isFolder()) return std::nullopt;
    const std::unique_ptr<ByteSource> source = object.open(object.names().front());
    if (source->size() == 0 || source->size() > largestJsonFile) return std::nullopt;
    const std::vector<std::byte> head = readBytes(*source, 0, std::min<std::uint64_t>(source->size(), 4096));
    const bool isText = std::none_of(head.begin(), head.end(), [](std::byte b) { return std::to_integer<int>(b) < 9; });
    if (!isText) return std::nullopt;
    return std::string(asText(readBytes(*source, 0, source->size())));
}

}  // namespace

std::optional<ChannelList> openChannelList(const ObjectPath& object, const TransportOptions& options, std::size_t d) {
    const bool asked = options.kind && *options.kind == listRecipe().kind;
    if (options.kind && !asked) return std::nullopt;
    std::optional<ChannelList> list;
    if (const std::optional<std::string> text = textOf(object))
        list = parseChannelList(*text, options, d, object.path());
    if (!list && asked)
        throw Error(ErrorCode::malformed, object.path(),
                    "has no channel numbers: a JSON list such as [3, 7], or a JSON key or a CSV column called neuron, "
                    "channel or index is expected");
    return list;
}

std::optional<ChannelList> parseChannelList(std::string text, const TransportOptions& options, std::size_t d,
                                            const std::string& where) {
    const std::size_t first = text.find_first_not_of(" \n\r\t", byteOrderMark(text));
    std::optional<ChannelList> list;
    if (first != std::string::npos && (text[first] == '{' || text[first] == '[')) {
        const nlohmann::json json = parseJson(text, where);
        if (json.is_discarded()) return std::nullopt;
        const bool bare = json.is_array() && !json.empty() && json.front().is_number();
        if (bare && !bareNumbersAreChannels(json, options, d, where)) return std::nullopt;
        const bool layers = options.kind || digitsNameLists(json, d, where, 0);
        list = jsonList(std::move(text), bare, layers);
        if (!list && (options.kind || namesChannels(json, layers)))
            throw Error(ErrorCode::tooLarge, where,
                        "lists channels among more than " + std::to_string(mostScalars) +
                            " numbers and words; split it into several files");
        const nlohmann::json& one = json.is_array() && !json.empty() ? json.front() : json;
        if (list && one.is_object()) list->about = Config::of(one, where);
    } else {
        list = csvList(std::move(text), where);
    }
    const bool hasChannels = list && std::any_of(list->entries.begin(), list->entries.end(),
                                                 [](const auto& entry) { return entry.isIndex; });
    if (!hasChannels) return std::nullopt;
    addSymmetry(list->plan, namedModel({&list->about}), where);
    list->plan.permutationOnly = !list->plan.permutationOnlyReason.empty();
    return list;
}

void requirePlace(const ChannelList& list, const std::string& space, const std::string& where) {
    for (const auto& [key, value] : list.places) {
        if (space.empty()) {
            const auto what = key == "hook" ? otherSpace(value) : std::nullopt;
            if (what)
                throw Error(ErrorCode::unsupported, where,
                            "lists channels at '" + value + "', which is " + *what +
                                ", not residual coordinates: the gauge does not act there");
            continue;
        }
        if (value != (key == "hook" ? space : layerOf(space)))
            throw Error(ErrorCode::unsupported, where,
                        "lists channels of " + key + " " + value + ", and it would move as what lives at '" + space +
                            "' alone; write one list for each place");
    }
}

std::string movedList(const ChannelList& list, const Gauge& gauge, const std::string& where) {
    const Gauge back = gauge.inverse();
    std::vector<std::string> moved(list.entries.size());
    std::vector<std::int8_t> signs(list.entries.size());
    for (std::size_t i = 0; i < list.entries.size(); ++i) {
        const ChannelList::Entry& entry = list.entries[i];
        if (!entry.isIndex) continue;
        const std::string_view written = std::string_view(list.text).substr(entry.begin, entry.end - entry.begin);
        const auto channel = channelIn(written);
        if (!channel)
            throw Error(ErrorCode::malformed, where,
                        "has '" + std::string(written) + "' where a channel number is expected");
        if (*channel >= gauge.d())
            throw Error(ErrorCode::dimensionMismatch, where,
                        "names channel " + std::to_string(*channel) +
                            ", and the gauge has d = " + std::to_string(gauge.d()) + " (counted from 0)");
        const std::uint32_t to = back.perm()[static_cast<std::size_t>(*channel)];
        signs[i] = gauge.sign()[to];
        if (entry.polar && signs[i] == 0) throw undetermined(where);
        if (entry.polar && signs[i] < 0)
            throw Error(ErrorCode::unsupported, where,
                        "holds a set of one polarity, and channel " + std::to_string(*channel) +
                            " changes sign under the gauge, so it would belong to the other; "
                            "write one list with a 'polarity' or 'value' for each channel");
        moved[i] = std::to_string(to);
    }
    for (std::size_t i = 0; i < list.entries.size(); ++i) {
        const ChannelList::Entry& entry = list.entries[i];
        if (entry.isIndex) continue;
        const std::string_view written = std::string_view(list.text).substr(entry.begin, entry.end - entry.begin);
        const std::int8_t sign = signs[entry.channel];
        if (sign == 0) throw undetermined(where);
        moved[i] = sign < 0 ? negated(written, where) : std::string(written);
    }
    std::vector<std::size_t> order(list.entries.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return list.entries[a].begin < list.entries[b].begin; });
    std::string text;
    std::size_t at = 0;
    for (const std::size_t i : order) {
        text.append(list.text, at, list.entries[i].begin - at);
        text += moved[i];
        at = list.entries[i].end;
    }
    return text.append(list.text, at, std::string::npos);
}

}  // namespace regauge
