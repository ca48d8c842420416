package files

import "testing"

func TestSizesAreWrittenInPowersOf1024(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1<<20 - 1: "1.0 MiB", 10 << 20: "10 MiB", 1536 << 20: "1.5 GiB",
		5000 << 50: "5000 PiB",
	} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
}
