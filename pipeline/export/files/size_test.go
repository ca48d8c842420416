package files

import "testing"

func TestSizesAreWrittenInPowersOf1000(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 9_949: "9.9 kB", 9_950: "10 kB", 999_499: "999 kB", 999_500: "1.0 MB",
		10_000_000: "10 MB", 1_500_000_000: "1.5 GB", 5_000_000_000_000_000_000: "5000 PB",
	} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
}
