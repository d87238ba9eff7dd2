// The disk flag: samples of a target, by which it is known again (hamal(7), DISK FLAG).
//
// Taken after the last flush of a run and committed with the checkpoint. Of at most k_flag_samples
// blocks of 4 KiB each is kept where it lies and a keyed hash of it, never its bytes. Where:
//   * the places that a boot, a new partition table or another disk would change: the beginning,
//     superblocks at 64 KiB and in a first partition at 1 MiB, the last block;
//   * blocks that this run wrote: they tell this generation from the one before it;
//   * some of the blocks of the flag before: a small delta does not forget where the data lies;
//   * blocks anywhere on the disk.
// All but the first are chosen by the key: who writes to a target cannot know where it is looked
// at.
//
// The hash is HMAC-SHA-256, cut to 16 bytes, over the identity, generation, size and offset too: a
// flag is worth nothing beside another checkpoint. The text in the checkpoint:
//   v1 OFFSET:HASH OFFSET:HASH …
// decimal offsets, ascending multiples of 4096; hashes of 32 lower-case hexadecimal digits.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/block/block_reader.hpp"
#include "hamal/extent/extent.hpp"
#include "hamal/state/state.hpp"

namespace hamal {

inline constexpr std::uint64_t k_flag_block = 4096;
inline constexpr std::size_t k_flag_samples = 32;

struct FlagSample {
  std::uint64_t offset = 0;
  std::string hash;
  friend bool operator==(const FlagSample&, const FlagSample&) = default;
};

/// An empty text is no samples. Throws Error(wrong_target) for a damaged text: a checkpoint that
/// somebody has changed does not turn the check off. `object` is what the message names.
std::vector<FlagSample> parse_disk_flag(std::string_view text, std::uint64_t size,
                                        const std::string& object);
std::string to_text(const std::vector<FlagSample>& samples);

/// Where to look: ascending, distinct, inside the disk. `next` is the checkpoint that will carry
/// the flag, `before` the samples of the one it replaces, `plan` gives what the run wrote, from its
/// start each time.
std::vector<std::uint64_t> choose_flag_offsets(const std::string& key, const Checkpoint& next,
                                               const std::vector<FlagSample>& before,
                                               const std::function<ExtentSourcePtr()>& plan);

/// Reads the blocks at `offsets` (ascending, inside the target) at once, over one queue.
std::vector<FlagSample> take_flag_samples(BlockReader& target, const std::string& key,
                                          const Checkpoint& checkpoint,
                                          const std::vector<std::uint64_t>& offsets);

struct FlagComparison {
  std::size_t compared = 0;
  std::size_t ignored = 0;
  std::size_t wrong = 0;
  std::uint64_t first_wrong = 0;  ///< offset, when any is
};

/// Compares a target with the flag of its checkpoint. Samples that touch `ignored` do not count;
/// what lies beyond the end of the target is wrong.
FlagComparison compare_disk_flag(BlockReader& target, const std::string& key,
                                 const Checkpoint& checkpoint,
                                 const std::vector<FlagSample>& samples, ExtentSource& ignored);

}  // namespace hamal
