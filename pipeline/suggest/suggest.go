// Package suggest finds what somebody may have meant by a word that is not known.
package suggest

import "strings"

// minInside is the least length of a value that counts because it is inside the given one.
const minInside = 4

// Nearest returns the value that is most like the given one, or "". A value that begins with the
// given one, or has it in the middle, is like it, and so is one that differs by few characters.
func Nearest(given string, values []string) string {
	plain := strings.NewReplacer("-", "_", " ", "_", ".", "_").Replace
	given = plain(strings.ToLower(given))
	if given == "" {
		return ""
	}
	for _, like := range []func(value, given string) bool{strings.HasPrefix, strings.Contains,
		func(value, given string) bool { return len(value) >= minInside && strings.Contains(given, value) }} {
		for _, v := range values {
			if like(plain(strings.ToLower(v)), given) {
				return v
			}
		}
	}
	best, least := "", len(given)/3+1
	for _, v := range values {
		if d := distance(given, plain(strings.ToLower(v))); d <= least {
			best, least = v, d-1
		}
	}
	return best
}

// distance returns how many characters must be added, removed or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
