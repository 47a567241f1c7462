"""Which words have vectors, and how large these are."""

import unittest

import torch
from anabranch_training.word_vectors import common_words, components


class WordVectors(unittest.TestCase):
    def test_words_are_whole_lower_case_and_in_the_order_of_their_tokens(self):
        vocabulary = {"Ġtree": 7, "Ġa": 3, "ree": 1, "ĠTree": 2, "Ġit's": 5, "Ġ12": 4, "Ġé": 6}
        self.assertEqual(common_words(vocabulary, 10), {"a": 3, "it's": 5, "tree": 7})
        self.assertEqual(common_words(vocabulary, 1), {"a": 3})

    def test_components_are_uncorrelated_and_of_one_size(self):
        rows = torch.randn(200, 12, generator=torch.Generator().manual_seed(1))
        rows[:, 0] *= 5
        found = components(rows, 4)
        expected = torch.eye(4) / 4
        torch.testing.assert_close(found.T @ found / len(found), expected, atol=1e-5, rtol=0)


if __name__ == "__main__":
    unittest.main()
