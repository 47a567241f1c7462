// Damage to a model folder's files.
#pragma once

#include "fuzz/dice.h"
#include "fuzz/model_files.h"

namespace anabranch {

/// Breaks up to three of the files: their JSON, their bytes or their lengths.
void break_files(Files& files, Dice& dice);

}  // namespace anabranch
