package sample

import (
	"math/bits"
	"math/rand/v2"
)

// mix hashes two numbers into one (the finaliser of splitmix64 on their combination). It gives
// properties of a run that are needed before the run is planned.
func mix(a, b uint64) uint64 {
	z := a*0x9e3779b97f4a7c15 + b + 0x632be59bd9b4e019
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// dice draws from a PCG. Only its 64-bit output is used, whose sequence is specified; the
// arithmetic on it is ours, so that no release of Go can change what a seed gives.
type dice struct{ pcg rand.PCG }

func (d *dice) seed(seed, what, which uint64) {
	h := mix(seed, what)
	d.pcg.Seed(h, mix(h, which))
}

// below draws from [0, n).
func (d *dice) below(n int) int {
	hi, _ := bits.Mul64(d.pcg.Uint64(), uint64(n))
	return int(hi)
}

// between draws from [lo, hi].
func (d *dice) between(lo, hi int) int { return lo + d.below(hi-lo+1) }

func (d *dice) oneIn(n int) bool { return d.below(n) == 0 }

func (d *dice) pick(from []string) string { return from[d.below(len(from))] }
