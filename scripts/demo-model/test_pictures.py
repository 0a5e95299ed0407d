"""Tests of the detector and of the parts of reference.py that have known answers."""

import unittest

import numpy as np

import pictures as p
import reference


class Detector(unittest.TestCase):
    """Right pictures pass, wrong ones are refused, each in at least 99 % of cases."""

    def setUp(self):
        self.rng = np.random.default_rng(7)
        self.scenes = p.all_scenes()
        self.pairs = [s for s in self.scenes if len(s) == 3]

    def draw(self, scene):
        return p.render(p.place(scene, self.rng))

    def some(self, scenes, n=300):
        return [scenes[i] for i in self.rng.integers(len(scenes), size=n)]

    def share_passed(self, asked_and_drawn):
        return np.mean([p.check(p.prompt_of(a), self.draw(d))[0] for a, d in asked_and_drawn])

    def other(self, options, *but):
        options = [o for o in options if o not in but]
        return options[self.rng.integers(len(options))]

    def test_right(self):
        scenes = self.some(self.scenes, 1000) + [s for s in self.scenes if len(s) == 1] * 10
        self.assertGreaterEqual(self.share_passed((s, s) for s in scenes), 0.99)

    def test_wrong_colour(self):
        wrong = [(s, ((self.other(p.COLOURS, s[0][0], s[2][0]), s[0][1]), *s[1:])) for s in self.some(self.pairs)]
        self.assertLessEqual(self.share_passed(wrong), 0.01)

    def test_wrong_relation(self):
        wrong = [(s, (s[0], self.other(p.RELATIONS, s[1]), s[2])) for s in self.some(self.pairs)]
        self.assertLessEqual(self.share_passed(wrong), 0.01)

    def test_swapped_things(self):
        wrong = [(s, (s[2], s[1], s[0])) for s in self.some(self.pairs)]
        self.assertLessEqual(self.share_passed(wrong), 0.01)

    def test_swapped_colours(self):
        wrong = [
            (s, ((s[2][0], s[0][1]), s[1], (s[0][0], s[2][1]))) for s in self.some(self.pairs)
        ]
        self.assertLessEqual(self.share_passed(wrong), 0.01)

    def test_wrong_kind(self):
        wrong = [(s, (s[0], s[1], (s[2][0], self.other(p.SHAPES, s[2][1])))) for s in self.some(self.pairs)]
        self.assertLessEqual(self.share_passed(wrong), 0.01)

    def test_missing_and_extra(self):
        for s in self.some(self.pairs, 150):
            placed = p.place(s, self.rng)
            for part in placed:
                self.assertFalse(p.check(p.prompt_of(s), p.render([part]))[0])
            self.assertFalse(p.check(p.prompt_of(s[:1]), p.render(placed))[0])

    def test_blank_and_noise(self):
        noise = self.rng.integers(0, 256, (p.SIZE, p.SIZE, 3)).astype(np.uint8)
        blanks = [np.full_like(noise, v) for v in (0, 128, 255)] + [p.render([]), noise]
        for s in self.some(self.scenes, 100):
            for picture in blanks:
                self.assertFalse(p.check(p.prompt_of(s), picture)[0])

    def test_half_and_half(self):
        # A shape half in another colour is colour bleeding and must not pass.
        for s in self.some(self.pairs, 100):
            picture = self.draw(s)
            colour, other = s[0][0], self.other(p.COLOURS, s[0][0], s[2][0])
            ys, xs = np.nonzero((picture == np.uint8(p.COLOURS[colour])).all(-1))
            half = ys >= np.median(ys)
            picture[ys[half], xs[half]] = p.COLOURS[other]
            self.assertFalse(p.check(p.prompt_of(s), picture)[0])


class Split(unittest.TestCase):
    def test_held_out(self):
        train, held = (set(part) for part in p.split())
        self.assertFalse(train & held)
        self.assertEqual(len(train) + len(held), 21 + 1512)
        for s in held:
            if len(s) == 3:
                self.assertNotIn((s[2], p.MIRROR[s[1]], s[0]), train)

    def test_score_list(self):
        held = p.split()[1]
        listed = p.score_list()
        self.assertEqual(len(listed), 48)
        self.assertEqual(len({prompt for _, prompt in listed}), 48)
        self.assertTrue(all(p.parse(prompt) in held for _, prompt in listed))

    def test_grammar(self):
        for s in p.all_scenes():
            self.assertEqual(p.parse(p.prompt_of(s)), s)
            self.assertEqual(p.parse(p.prompt_of(s, to_the=True)), s)
        for bad in ("", "a red", "a mauve circle", "two red circles", "a red circle near a blue square"):
            self.assertRaises(ValueError, p.parse, bad)


class KnownAnswers(unittest.TestCase):
    def test_chacha20_zero_key(self):
        words = reference.chacha20_words(bytes(32), 40)
        stream = words.astype("<u4").tobytes()
        self.assertEqual(stream[:16].hex(), "76b8e0ada0f13d90405d6ae55386bd28")
        # Block 1 of the same key and nonce (RFC 7539, appendix A.1, vector 2).
        self.assertEqual(stream[64:80].hex(), "9f07e7be5551387a98ba977c732d080d")

    def test_latents(self):
        a, b = reference.initial_latents(1, (4, 8, 8)), reference.initial_latents(2, (4, 8, 8))
        self.assertEqual(a.shape, (1, 4, 8, 8))
        self.assertFalse(np.array_equal(a, b))
        self.assertTrue(np.array_equal(a, reference.initial_latents(1, (4, 8, 8))))
        many = np.concatenate([reference.initial_latents(n, (4, 8, 8)).ravel() for n in range(100)])
        self.assertLess(abs(many.mean()), 0.02)
        self.assertLess(abs(many.std() - 1), 0.02)

    def test_timesteps(self):
        def steps(spacing, offset):
            config = dict(
                num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                prediction_type="epsilon", steps_offset=offset, set_alpha_to_one=False,
                clip_sample=False, timestep_spacing=spacing,
            )
            return reference.Ddim(config, 20).timesteps.tolist()

        self.assertEqual(steps("leading", 1), list(range(951, 0, -50)))
        self.assertEqual(steps("trailing", 0), list(range(999, 0, -50)))
        self.assertEqual(steps("linspace", 0)[:3] + steps("linspace", 0)[-2:], [999, 946, 894, 53, 0])


if __name__ == "__main__":
    unittest.main()
