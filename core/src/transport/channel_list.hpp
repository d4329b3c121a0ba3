// Lists of channels: neuron sets, top-k lists, attributions, as JSON or CSV. Channel numbers move by j -> perm^-1[j],
// and a channel's own values change sign with it.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "regauge/gauge.hpp"
#include "regauge/transport.hpp"
#include "transport/object_files.hpp"

namespace regauge {

// A list as text, and what in it moves. Everything else stays as it was written.
struct ChannelList {
    // One number or word of the text, [begin, end).
    struct Entry {
        std::size_t begin = 0, end = 0;
        bool isIndex = false;     // a channel number; else a value that is odd
        std::size_t channel = 0;  // of a value: the entry that is its channel
        bool polar =
            false;  // of an index: it stands in a set of one polarity ("top_positive"), which cannot be carried
    };
    // A value of a channel that stays as it is: what a list may be ranked by.
    struct Even {
        std::size_t begin = 0, end = 0;
        bool ranks = false;       // it says how important its channel is
        std::size_t channel = 0;  // the entry that is its channel
    };
    std::string text;
    std::vector<Entry> entries;
    std::vector<Even> even;
    // What it says of the place of its channels, each once: ("hook", "blocks.1.hook_resid_post"), ("layer", "3").
    std::set<std::pair<std::string, std::string>> places;
    Config about;  // what it says of itself: the outermost object, or the first row
    Plan plan;
};

// The list that a file is, or nothing where it is none. d: the gauge's width, or 0; it decides whether bare numbers are
// a list or a vector.
// Throws Error: ambiguous (d distinct channel numbers could be either), malformed, usage.
std::optional<ChannelList> openChannelList(const ObjectPath& object, const TransportOptions& options, std::size_t d);

// The same of a text that was read already; where: for messages. Nothing where it has no channel numbers.
std::optional<ChannelList> parseChannelList(std::string text, const TransportOptions& options, std::size_t d,
                                            const std::string& where);

// Throws Error(unsupported) where the list says that its channels live elsewhere than in the residual stream (space:
// ""), or than at that one hook.
void requirePlace(const ChannelList& list, const std::string& space, const std::string& where);

// The text with its channels and values moved. Throws Error: dimensionMismatch (a channel beyond d), undeterminedSign,
// unsupported (a set of one polarity of which a channel changes sign).
std::string movedList(const ChannelList& list, const Gauge& gauge, const std::string& where);

}  // namespace regauge
