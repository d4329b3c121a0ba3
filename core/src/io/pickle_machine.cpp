// The opcodes. One switch; its length is the instruction set's.
#include <bit>
#include <unordered_map>

#include "io/bytes.hpp"
#include "io/foreign.hpp"
#include "io/pickle_globals.hpp"
#include "io/pickle_nodes.hpp"

namespace regauge {
namespace {

constexpr std::size_t mostNodes = std::size_t{8} << 20;
constexpr std::size_t mostItems = std::size_t{32} << 20;
constexpr std::size_t mostTensors = std::size_t{1} << 20;
constexpr std::size_t mostAxes = 64;
constexpr std::size_t mostArguments = 16;
constexpr std::size_t mostNameBytes = 256;  // of a global or a storage key

class Machine {
public:
    Machine(std::span<const std::byte> pickle, const std::string& where) : pickle_(pickle), where_(where) {}

    PickleGraph run() {
        for (;;) {
            opAt_ = at_;
            const unsigned op = std::to_integer<unsigned>(bytes(1)[0]);
            if (op == '.') break;
            step(op);
        }
        if (stack_.size() != 1 || !marks_.empty()) damaged();
        graph_.root = stack_.back();
        return std::move(graph_);
    }

private:
    using Id = std::uint32_t;

    [[noreturn]] void damaged() const {
        throw Error(ErrorCode::malformed, where_,
                    "the pickle in it is damaged near byte " + std::to_string(at_) +
                        ", or was not written by torch.save; save the file again");
    }

    // --- reading
    std::span<const std::byte> bytes(std::uint64_t count) {
        if (count > pickle_.size() - at_) damaged();
        const std::span<const std::byte> part = pickle_.subspan(at_, static_cast<std::size_t>(count));
        at_ += static_cast<std::size_t>(count);
        return part;
    }
    template <class T>
    T number() {
        return loadLittle<T>(bytes(sizeof(T)).data());
    }
    std::string line() {
        const std::string_view rest = asText(pickle_.subspan(at_));
        const std::size_t end = rest.find('\n');
        if (end == std::string_view::npos || end > mostNameBytes) damaged();
        at_ += end + 1;
        return std::string(rest.substr(0, end));
    }

    // --- stack
    Id make(NodeKind kind) {
        if (graph_.nodes.size() >= mostNodes)
            throw Error(ErrorCode::tooLarge, where_,
                        "the pickle in it holds more than " + std::to_string(mostNodes) + " values");
        graph_.nodes.emplace_back();
        graph_.nodes.back().kind = kind;
        graph_.nodes.back().begin = static_cast<std::uint32_t>(opAt_);
        return static_cast<Id>(graph_.nodes.size() - 1);
    }
    Node& at(Id id) { return graph_.nodes[id]; }
    void push(Id id) { stack_.push_back(id); }
    Node& pushNew(NodeKind kind) {
        push(make(kind));
        return at(stack_.back());
    }
    std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
    Id pop() {
        if (stack_.size() <= floor()) damaged();
        const Id id = stack_.back();
        stack_.pop_back();
        return id;
    }
    Id top() const {
        if (stack_.size() <= floor()) damaged();
        return stack_.back();
    }
    std::vector<Id> popToMark() {
        if (marks_.empty()) damaged();
        const std::vector<Id> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
        stack_.resize(marks_.back());
        marks_.pop_back();
        opAt_ = markAt_.back();  // what is made of them begins there
        markAt_.pop_back();
        return items;
    }
    void append(Node& node, std::span<const Id> items) {
        itemCount_ += items.size();
        if (itemCount_ > mostItems)
            throw Error(ErrorCode::tooLarge, where_,
                        "the pickle in it holds more than " + std::to_string(mostItems) + " entries");
        node.items.insert(node.items.end(), items.begin(), items.end());
    }
    void tuple(std::size_t count) {
        if (stack_.size() - floor() < count) damaged();
        const std::vector<Id> items(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
        stack_.resize(stack_.size() - count);
        append(pushNew(NodeKind::list), items);
    }
    void extend(NodeKind kind, std::span<const Id> items) {
        Node& target = at(top());
        // Counter, defaultdict and friends may have been rebuilt as something opaque; what is put into them is then of
        // no interest.
        if (target.kind == NodeKind::opaque) return;
        if (target.kind != kind || (kind == NodeKind::dict && items.size() % 2 != 0)) damaged();
        append(target, items);
    }

    // --- the instruction set
    void step(unsigned op) {
        switch (op) {
            case 0x80:
                if (number<std::uint8_t>() > 5) damaged();
                break;                   // PROTO
            case 0x95: bytes(8); break;  // FRAME: only a hint
            case '(':
                marks_.push_back(stack_.size());
                markAt_.push_back(opAt_);
                break;                                                 // MARK
            case 'N': pushNew(NodeKind::none); break;                  // NONE
            case 0x88: pushNew(NodeKind::boolean).integer = 1; break;  // NEWTRUE
            case 0x89: pushNew(NodeKind::boolean).integer = 0; break;  // NEWFALSE
            case 'J': integer(number<std::int32_t>()); break;          // BININT
            case 'K': integer(number<std::uint8_t>()); break;          // BININT1
            case 'M': integer(number<std::uint16_t>()); break;         // BININT2
            case 0x8a: long1(); break;                                 // LONG1
            case 'G': real(); break;                                   // BINFLOAT
            case 'X': text(number<std::uint32_t>()); break;            // BINUNICODE
            case 0x8c: text(number<std::uint8_t>()); break;            // SHORT_BINUNICODE
            case 0x8d: text(number<std::uint64_t>()); break;           // BINUNICODE8
            case 'U': text(number<std::uint8_t>()); break;             // SHORT_BINSTRING
            case 'T': text(number<std::uint32_t>()); break;            // BINSTRING
            case 'C': text(number<std::uint8_t>()); break;             // SHORT_BINBYTES
            case 'B': text(number<std::uint32_t>()); break;            // BINBYTES
            case ')': pushNew(NodeKind::list); break;                  // EMPTY_TUPLE
            case ']': pushNew(NodeKind::list); break;                  // EMPTY_LIST
            case 0x8f: pushNew(NodeKind::list); break;                 // EMPTY_SET
            case '}': pushNew(NodeKind::dict); break;                  // EMPTY_DICT
            case 0x85: tuple(1); break;                                // TUPLE1
            case 0x86: tuple(2); break;                                // TUPLE2
            case 0x87: tuple(3); break;                                // TUPLE3
            case 't': {                                                // TUPLE
                const std::vector<Id> items = popToMark();
                append(pushNew(NodeKind::list), items);
                break;
            }
            case 'a': {  // APPEND
                const Id item = pop();
                extend(NodeKind::list, {&item, 1});
                break;
            }
            case 'e':
            case 0x90: extend(NodeKind::list, popToMark()); break;  // APPENDS, ADDITEMS
            case 's': {                                             // SETITEM
                const Id value = pop();
                const Id pair[2] = {pop(), value};
                extend(NodeKind::dict, pair);
                break;
            }
            case 'u': extend(NodeKind::dict, popToMark()); break;                       // SETITEMS
            case 'h': get(number<std::uint8_t>()); break;                               // BINGET
            case 'j': get(number<std::uint32_t>()); break;                              // LONG_BINGET
            case 'q': memo_[number<std::uint8_t>()] = top(); break;                     // BINPUT
            case 'r': memo_[number<std::uint32_t>()] = top(); break;                    // LONG_BINPUT
            case 0x94: memo_[static_cast<std::uint32_t>(memo_.size())] = top(); break;  // MEMOIZE
            case 'c': {                                                                 // GLOBAL
                const std::string module = line();
                global(module + '.' + line());
                break;
            }
            case 0x93: {  // STACK_GLOBAL
                const Node& name = at(pop());
                const Node& module = at(pop());
                if (name.kind != NodeKind::text || module.kind != NodeKind::text || name.text.size() > mostNameBytes ||
                    module.text.size() > mostNameBytes)
                    damaged();
                global(module.text + '.' + name.text);
                break;
            }
            case 'Q': persistentId(); break;  // BINPERSID
            case 0x81:
            case 'R': reduce(); break;  // NEWOBJ, REDUCE
            case 'b':
                pop();
                build();
                break;  // BUILD
            default: damaged();
        }
    }

    void integer(std::int64_t value) { pushNew(NodeKind::integer).integer = value; }
    void long1() {
        const std::span<const std::byte> digits = bytes(number<std::uint8_t>());
        // Longer than 64 bits: no size, index or key that a tensor file needs.
        if (digits.size() > 8) {
            pushNew(NodeKind::opaque);
            return;
        }
        std::uint64_t value =
            !digits.empty() && (digits.back() & std::byte{0x80}) != std::byte{0} ? ~std::uint64_t{0} : 0;
        for (std::size_t i = digits.size(); i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(digits[i]);
        integer(static_cast<std::int64_t>(value));
    }
    void real() {
        std::uint64_t bits = 0;
        for (const std::byte byte : bytes(8))
            bits = bits << 8 | std::to_integer<std::uint64_t>(byte);  // the one big-endian number in a pickle
        pushNew(NodeKind::real).real = std::bit_cast<double>(bits);
    }
    void text(std::uint64_t size) {
        const std::string value(asText(bytes(size)));
        pushNew(NodeKind::text).text = value;
    }
    void get(std::uint32_t key) {
        const auto found = memo_.find(key);
        if (found == memo_.end()) damaged();
        if (at(found->second).kind != NodeKind::tensor) return push(found->second);
        // Another name of a tensor: one of its own, so that it can be told where the name stands.
        PickleTensor tensor = graph_.tensors[static_cast<std::size_t>(at(found->second).integer)];
        tensor.placeBegin = opAt_;
        tensor.placeEnd = at_;
        tensor.reference = true;
        add(std::move(tensor));
    }
    void add(PickleTensor tensor) {
        if (graph_.tensors.size() >= mostTensors)
            throw Error(ErrorCode::tooLarge, where_,
                        "the pickle in it holds more than " + std::to_string(mostTensors) + " tensors");
        graph_.tensors.push_back(std::move(tensor));
        pushNew(NodeKind::tensor).integer = static_cast<std::int64_t>(graph_.tensors.size() - 1);
    }
    void global(std::string name) {
        if (!isAllowedGlobal(name)) {
            for (char& c : name)
                c = c < ' ' || c > '~' ? '?' : c;  // it comes from a hostile file and goes to a terminal
            throw Error(ErrorCode::unsupported, where_,
                        "refused: loading it would call " + name +
                            ", which is code, not data; save the tensors alone, e.g. torch.save({name: tensor, ...}, "
                            "path) or a .safetensors file");
        }
        pushNew(NodeKind::global).text = name;
    }

    // ('storage', torch.FloatStorage, key, location, count)
    void persistentId() {
        const Id tupleId = pop();
        const Node& id = at(tupleId);
        if (id.kind != NodeKind::list || id.items.size() != 5) damaged();
        const Node& what = at(id.items[0]);
        const Node& type = at(id.items[1]);
        const Node& key = at(id.items[2]);
        const Node& count = at(id.items[4]);
        if (what.text != "storage" || type.kind != NodeKind::global || !isStorageType(type.text) ||
            key.kind != NodeKind::text || key.text.size() > mostNameBytes || count.kind != NodeKind::integer ||
            count.integer < 0)
            damaged();
        PickleStorage storage{key.text, storageDtype(type.text, where_), static_cast<std::uint64_t>(count.integer),
                              type.text, at(id.items[3]).text};
        graph_.storages.push_back(std::move(storage));
        opAt_ = id.begin;
        pushNew(NodeKind::storage).integer = static_cast<std::int64_t>(graph_.storages.size() - 1);
    }

    void build() {
        // __setstate__ and __dict__ of dicts (`_metadata`), parameters and opaque values: nothing a tensor needs.
        const NodeKind kind = at(top()).kind;
        if (kind != NodeKind::dict && kind != NodeKind::tensor && kind != NodeKind::opaque) damaged();
    }

    void reduce() {
        const Id argsId = pop();
        const Id functionId = pop();
        // No function of the whitelist takes many arguments; copying a long memoized tuple again and again would take
        // for ever.
        if (at(argsId).kind != NodeKind::list || at(argsId).items.size() > mostArguments ||
            at(functionId).kind != NodeKind::global)
            damaged();
        const std::vector<Id> args = at(argsId).items;
        const std::string function = at(functionId).text;
        switch (globalRole(function)) {
            case GlobalRole::dict: return dict(args);
            case GlobalRole::firstArgument:
                if (args.empty()) return void(pushNew(NodeKind::list));
                return push(args[0]);
            case GlobalRole::parameter:
                if (args.empty() || at(args[0]).kind != NodeKind::tensor) damaged();
                return push(args[0]);
            case GlobalRole::tensor: return tensor(args, false);
            case GlobalRole::tensorOfBytes: return tensor(args, true);
            case GlobalRole::opaque: return void(pushNew(NodeKind::opaque));
            case GlobalRole::array: pushNew(NodeKind::opaque).text = foreignNumPy; return;
            case GlobalRole::notCallable: damaged();
        }
    }

    // OrderedDict(), or the older OrderedDict([[key, value], ..]).
    void dict(const std::vector<Id>& args) {
        std::vector<Id> items;
        if (!args.empty() && at(args[0]).kind == NodeKind::list) {
            for (const Id pair : at(args[0]).items) {
                if (at(pair).kind != NodeKind::list || at(pair).items.size() != 2) damaged();
                items.insert(items.end(), at(pair).items.begin(), at(pair).items.end());
            }
        } else if (!args.empty() && at(args[0]).kind == NodeKind::dict) {
            items = at(args[0]).items;
        }
        append(pushNew(NodeKind::dict), items);
    }

    std::vector<std::uint64_t> sizes(Id id) {
        const Node& list = at(id);
        if (list.kind != NodeKind::list || list.items.size() > mostAxes) damaged();
        std::vector<std::uint64_t> values;
        for (const Id item : list.items) {
            if (at(item).kind != NodeKind::integer || at(item).integer < 0) damaged();
            values.push_back(static_cast<std::uint64_t>(at(item).integer));
        }
        return values;
    }

    // _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata]); v3: (.., hooks, dtype[,
    // metadata]) over bytes.
    void tensor(const std::vector<Id>& args, bool ofBytes) {
        if (args.size() < (ofBytes ? 7U : 4U) || at(args[0]).kind != NodeKind::storage ||
            at(args[1]).kind != NodeKind::integer || at(args[1]).integer < 0)
            damaged();
        PickleTensor tensor;
        tensor.storage = static_cast<std::size_t>(at(args[0]).integer);
        tensor.offset = static_cast<std::uint64_t>(at(args[1]).integer);
        tensor.shape = sizes(args[2]);
        tensor.strides = sizes(args[3]);
        const PickleStorage& storage = graph_.storages[tensor.storage];
        if (ofBytes) {
            if (at(args[6]).kind != NodeKind::global) damaged();
            tensor.dtype = torchDtype(at(args[6]).text, where_);
        } else {
            if (!storage.dtype) damaged();
            tensor.dtype = *storage.dtype;
        }
        const std::size_t metadata = ofBytes ? 7 : 6;
        if (args.size() > metadata && !at(args[metadata]).items.empty()) {
            throw Error(
                ErrorCode::unsupported, where_,
                "a tensor in it is a lazy conjugate or negative view; save tensor.resolve_conj().resolve_neg()");
        }
        if (tensor.shape.size() != tensor.strides.size()) damaged();
        if (args.size() > 4 && at(args[4]).kind == NodeKind::boolean && at(args[4]).begin > at(args[0]).begin) {
            tensor.placeBegin = at(args[0]).begin;
            tensor.placeEnd = at(args[4]).begin;
        }
        add(std::move(tensor));
    }

    std::span<const std::byte> pickle_;
    const std::string& where_;
    std::size_t at_ = 0, opAt_ = 0;  // in the pickle: the next byte, and the opcode at work
    std::size_t itemCount_ = 0;
    PickleGraph graph_;
    std::vector<Id> stack_;
    std::vector<std::size_t> marks_, markAt_;
    std::unordered_map<std::uint32_t, Id> memo_;
};

}  // namespace

PickleGraph runPickle(std::span<const std::byte> pickle, const std::string& where) {
    return Machine(pickle, where).run();
}

}  // namespace regauge
