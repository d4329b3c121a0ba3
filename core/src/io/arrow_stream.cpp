#include "io/arrow_stream.hpp"

#include <algorithm>
#include <set>

#include "io/arrow_schema.hpp"
#include "io/bytes.hpp"

namespace regauge {
namespace {

// Of an Arrow file; a stream has neither.
//   "ARROW1" 0 0 | stream | footer | i32 its bytes | "ARROW1"
constexpr std::string_view magic = "ARROW1";
constexpr std::uint64_t fileHead = 8, fileTail = 10;
// Before each message: FF FF FF FF | i32 bytes of its metadata; 0 ends the stream.
constexpr std::uint64_t messageHead = 8;
constexpr std::uint32_t continuation = 0xFFFFFFFF;
// What a message's metadata may hold at most: a record batch's takes about 50 bytes a column, a schema's what its
// writer put beside it.
constexpr std::uint64_t mostMetadata = std::uint64_t{16} << 20;
// Fields of the tables of Message.fbs.
constexpr unsigned messageKind = 1, messageHeader = 2, messageBody = 3;
constexpr unsigned batchRows = 0, batchNodes = 1, batchBuffers = 2, batchCompression = 3, batchVariadic = 4;
enum MessageKind : std::uint8_t { schemaMessage = 1, dictionaryMessage = 2, batchMessage = 3 };
constexpr std::size_t pairBytes = 16;  // a node (length, nulls) or a buffer (offset, bytes)

std::uint64_t long64(const FlatBuffer& buffer, std::uint64_t at) {
    return loadLittle<std::uint64_t>(buffer.within(at, 8));
}

class TableReader {
public:
    explicit TableReader(std::shared_ptr<const ByteSource> source) : where_(source->name()) {
        table_.source = std::move(source);
    }

    ArrowTable read() {
        std::uint64_t at = 0, end = table_.source->size();
        if (asText(readBytes(*table_.source, 0, std::min<std::uint64_t>(end, magic.size()))) == magic) {
            at = fileHead, end = beginOfFooter(end);
            table_.stream = false;
        }
        while (at != end) {
            const std::uint64_t next = message(at, end);
            if (next == at + messageHead && table_.stream && next != end)
                throw Error(ErrorCode::malformed, where_,
                            std::to_string(end - next) + " bytes follow the end of this Arrow stream");
            if (next == at + messageHead) break;
            at = next;
        }
        if (!schemaRead_) throw Error(ErrorCode::malformed, where_, "an Arrow file without a schema");
        return std::move(table_);
    }

private:
    std::uint64_t beginOfFooter(std::uint64_t size) const {
        if (size < fileHead + fileTail) cutOff();
        const std::vector<std::byte> tail = readBytes(*table_.source, size - fileTail, fileTail);
        const std::uint64_t footer = loadLittle<std::uint32_t>(tail.data());
        if (asText(tail).substr(4) != magic || footer > size - fileHead - fileTail) cutOff();
        return size - fileTail - footer;
    }

    [[noreturn]] void cutOff() const {
        throw Error(ErrorCode::truncated, where_,
                    "this Arrow file ends after " + std::to_string(table_.source->size()) +
                        " bytes, before it is complete; copy or download it again");
    }

    // The message at `at`; where the next one begins.
    std::uint64_t message(std::uint64_t at, std::uint64_t end) {
        if (end - at < messageHead) cutOff();
        const std::vector<std::byte> head = readBytes(*table_.source, at, messageHead);
        if (loadLittle<std::uint32_t>(head.data()) != continuation)
            throw Error(ErrorCode::malformed, where_,
                        "expected a message of an Arrow stream at byte " + std::to_string(at) +
                            "; where the file is of Arrow before 0.15 (2019), write it again with a current one");
        const std::uint64_t length = loadLittle<std::uint32_t>(head.data() + 4), begin = at + messageHead;
        if (length == 0) return begin;
        if (length > end - begin) cutOff();
        if (length > mostMetadata)
            throw Error(ErrorCode::tooLarge, where_,
                        std::to_string(length) + " bytes of an Arrow message's metadata are more than the " +
                            std::to_string(mostMetadata) + " that regauge reads");
        const std::vector<std::byte> bytes = readBytes(*table_.source, begin, length);
        const FlatTable root = FlatTable::root({bytes, &where_});
        const std::uint64_t body = begin + length, bodyBytes = root.number<std::uint64_t>(messageBody, 0);
        if (bodyBytes > end - body) cutOff();
        take(root, body, bodyBytes);
        return body + bodyBytes;
    }

    void take(const FlatTable& message, std::uint64_t body, std::uint64_t bodyBytes) {
        const auto kind = message.number<std::uint8_t>(messageKind, 0);
        if ((kind == schemaMessage) == schemaRead_)
            throw Error(ErrorCode::malformed, where_,
                        "expected one schema, and that first, in this Arrow stream; for several tables write several "
                        "files");
        if (kind == schemaMessage) return takeSchema(message);
        if (kind == dictionaryMessage) return;  // no column of numbers needs it
        const std::optional<FlatTable> batch = message.table(messageHeader);
        if (kind != batchMessage || !batch)
            throw Error(ErrorCode::unsupported, where_,
                        "has an Arrow message of kind " + std::to_string(kind) + "; expected record batches");
        takeBatch(*batch, body, bodyBytes);
    }

    void takeSchema(const FlatTable& message) {
        schema_ = readArrowSchema(message);
        schemaRead_ = true;
        std::set<std::string_view> names;
        for (const ArrowField& field : schema_.columns) {
            if (!names.insert(field.name).second)
                throw Error(ErrorCode::ambiguous, where_,
                            "has two columns called '" + field.name + "'; give each a name of its own");
            table_.columns.emplace_back(field);
            nodes_ += nodesOf(field);
        }
    }

    static std::size_t nodesOf(const ArrowField& field) {
        std::size_t count = 1;
        if (field.dictionary) return count;
        for (const ArrowField& child : field.children) count += nodesOf(child);
        return count;
    }

    void takeBatch(const FlatTable& table, std::uint64_t body, std::uint64_t bodyBytes) {
        if (const std::optional<FlatTable> compression = table.table(batchCompression))
            throw Error(ErrorCode::unsupported, where_,
                        std::string("its columns are compressed (") +
                            (compression->number<std::uint8_t>(0, 0) == 0 ? "LZ4" : "ZSTD") +
                            "), which regauge does not unpack; " + arrowWayOut(table_.stream));
        const FlatBuffer& buffer = table.buffer();
        const FlatVector nodes = table.vector(batchNodes, pairBytes), buffers = table.vector(batchBuffers, pairBytes);
        if (nodes.count != nodes_)
            throw Error(ErrorCode::malformed, where_,
                        "a record batch of " + std::to_string(nodes.count) + " fields, where the schema has " +
                            std::to_string(nodes_));
        ArrowBatch batch;
        batch.source = table_.source.get();
        batch.rows = table.number<std::uint64_t>(batchRows, 0);
        for (std::uint64_t at = nodes.first, i = 0; i < nodes.count; ++i, at += pairBytes)
            batch.nodes.push_back({long64(buffer, at), long64(buffer, at + 8)});
        std::uint64_t taken = 0;
        for (std::uint64_t at = buffers.first, i = 0; i < buffers.count; ++i, at += pairBytes) {
            const std::uint64_t offset = long64(buffer, at), bytes = long64(buffer, at + 8);
            if (offset > bodyBytes || bytes > bodyBytes - offset)
                throw Error(ErrorCode::malformed, where_, "a record batch has a buffer beyond its own end");
            // Lists that share their offsets would be read once for each.
            if ((taken += bytes) > bodyBytes)
                throw Error(ErrorCode::malformed, where_, "a record batch whose buffers overlap");
            batch.buffers.push_back({body + offset, bytes});
        }
        addToColumns(batch, table);
    }

    // Where a field's nodes and buffers begin in a batch.
    struct Place {
        std::size_t node = 0, buffer = 0;
        std::uint64_t variadic = 0;  // of the counts of further buffers, one a column of views
    };

    void addToColumns(const ArrowBatch& batch, const FlatTable& table) {
        const FlatVector further = table.vector(batchVariadic, 8);
        std::vector<Place> places;
        Place place;
        for (const ArrowField& field : schema_.columns) {
            places.push_back(place);
            pass(field, place, batch, further, table.buffer());
        }
        if (place.buffer != batch.buffers.size()) wrongBuffers(batch);
        for (std::size_t i = 0; i < places.size(); ++i) table_.columns[i].add(batch, places[i].node, places[i].buffer);
    }

    void pass(const ArrowField& field, Place& place, const ArrowBatch& batch, const FlatVector& further,
              const FlatBuffer& buffer) const {
        ++place.node;
        place.buffer += buffersOf(field, schema_);
        if (place.buffer > batch.buffers.size()) wrongBuffers(batch);
        if (field.dictionary) return;
        if (field.type == ArrowType::binaryView || field.type == ArrowType::utf8View) {
            if (place.variadic == further.count) wrongBuffers(batch);
            const std::uint64_t more = long64(buffer, further.first + 8 * place.variadic++);
            if (more > batch.buffers.size() - place.buffer) wrongBuffers(batch);
            place.buffer += static_cast<std::size_t>(more);
        }
        for (const ArrowField& child : field.children) pass(child, place, batch, further, buffer);
    }

    [[noreturn]] void wrongBuffers(const ArrowBatch& batch) const {
        throw Error(ErrorCode::malformed, where_,
                    "a record batch has " + std::to_string(batch.buffers.size()) +
                        " buffers, which is not what the columns of its schema take");
    }

    std::string where_;
    ArrowTable table_;
    ArrowSchema schema_;
    bool schemaRead_ = false;
    std::size_t nodes_ = 0;
};

}  // namespace

bool looksLikeArrow(std::string_view head) {
    return head.starts_with(magic) || head.starts_with(std::string_view("\xff\xff\xff\xff", 4));
}

ArrowTable readArrowTable(std::shared_ptr<const ByteSource> source) { return TableReader(std::move(source)).read(); }

std::string arrowWayOut(bool stream) {
    return std::string("save a column of numbers as an array: import numpy, pyarrow.ipc; c = pyarrow.ipc.open_") +
           (stream ? "stream" : "file") +
           "('FILE').read_all()['COLUMN'].combine_chunks(); numpy.save('rows.npy', c.to_numpy_ndarray() if "
           "hasattr(c, 'to_numpy_ndarray') else numpy.array(c.to_pylist(), 'float32'))";
}

}  // namespace regauge
