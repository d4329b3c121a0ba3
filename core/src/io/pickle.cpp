// From the graph that the opcodes built to named tensors: the containers walked in order, keys joined by '.'.
#include "io/pickle.hpp"

#include <unordered_set>

#include "io/bytes.hpp"
#include "io/number_text.hpp"
#include "io/pickle_nodes.hpp"

namespace regauge {
namespace {

constexpr std::size_t mostDepth = 64;
constexpr std::size_t mostVisits = std::size_t{16} << 20;
constexpr std::size_t mostNameBytes = 4096;
constexpr std::size_t mostTextBytes = std::size_t{256}
                                      << 20;  // of all names and values: a long text may be referred to again and again

class Walker {
public:
    Walker(const PickleGraph& graph, const std::string& where) : graph_(graph), where_(where) {}

    PickleContents run() {
        // An explicit stack: a pickle may nest deeper than the C++ stack, or contain itself.
        std::vector<Frame> frames;
        visit(graph_.root, "", frames);
        while (!frames.empty()) {
            Frame& frame = frames.back();
            const Node& node = graph_.nodes[frame.node];
            const bool isDict = node.kind == NodeKind::dict;
            if (frame.next >= node.items.size()) {
                frames.pop_back();
                continue;
            }
            const std::string key = isDict ? keyOf(graph_.nodes[node.items[frame.next]]) : std::to_string(frame.next);
            const std::uint32_t child = node.items[frame.next + (isDict ? 1 : 0)];
            frame.next += isDict ? 2 : 1;
            visit(child, frame.prefix.empty() ? key : frame.prefix + '.' + key, frames);
        }
        return std::move(contents_);
    }

private:
    struct Frame {
        std::uint32_t node = 0;
        std::size_t next = 0;
        std::string prefix;
    };

    static std::string keyOf(const Node& key) {
        if (key.kind == NodeKind::text) return key.text;
        if (key.kind == NodeKind::integer || key.kind == NodeKind::boolean) return std::to_string(key.integer);
        return "?";
    }

    void visit(std::uint32_t id, const std::string& name, std::vector<Frame>& frames) {
        if (++visits_ > mostVisits)
            throw Error(ErrorCode::tooLarge, where_,
                        "the pickle in it unfolds to more than " + std::to_string(mostVisits) + " values");
        if (name.size() > mostNameBytes)
            throw Error(ErrorCode::malformed, where_,
                        "the pickle in it has a name of more than " + std::to_string(mostNameBytes) + " bytes");
        const Node& node = graph_.nodes[id];
        textBytes_ += name.size() + node.text.size();
        if (textBytes_ > mostTextBytes)
            throw Error(ErrorCode::tooLarge, where_,
                        "the pickle in it unfolds to more than " + std::to_string(mostTextBytes) + " bytes of text");
        switch (node.kind) {
            case NodeKind::list:
            case NodeKind::dict:
                if (frames.size() >= mostDepth)
                    throw Error(ErrorCode::malformed, where_,
                                "the pickle in it nests deeper than " + std::to_string(mostDepth) + " levels");
                frames.push_back({id, 0, name});
                return;
            case NodeKind::tensor: {
                PickleTensor tensor = graph_.tensors[static_cast<std::size_t>(node.integer)];
                tensor.name = name.empty() ? "tensor" : name;
                if (!names_.insert(tensor.name).second)
                    throw Error(ErrorCode::ambiguous, where_, "two tensors in it would both be called " + tensor.name);
                contents_.tensors.push_back(std::move(tensor));
                return;
            }
            case NodeKind::boolean: return value(name, node.integer != 0 ? "true" : "false");
            case NodeKind::integer: return value(name, std::to_string(node.integer));
            case NodeKind::real: return value(name, numberText(node.real));
            case NodeKind::text: return value(name, node.text);
            case NodeKind::opaque:
                if (!node.text.empty()) value(name, node.text);
                return;
            default: return;
        }
    }

    void value(const std::string& name, std::string text) { contents_.values.emplace_back(name, std::move(text)); }

    const PickleGraph& graph_;
    const std::string& where_;
    PickleContents contents_;
    std::unordered_set<std::string> names_;
    std::size_t visits_ = 0;
    std::size_t textBytes_ = 0;
};

}  // namespace

PickleContents readPickle(std::span<const std::byte> pickle, const std::string& where) {
    PickleGraph graph = runPickle(pickle, where);
    PickleContents contents = Walker(graph, where).run();
    contents.storages = std::move(graph.storages);
    return contents;
}

}  // namespace regauge
